"""Zero-cost proxies: scores of an untrained network that rank architectures by accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_objectives"]


@hookimpl
def orchestrator_objectives() -> Sequence[Offer]:
    """What an architecture can be judged by before anything is trained."""
    return [
        Offer(
            "naswot",
            "orchestrator_proxies.naswot:Naswot",
            "how differently untrained activations switch on for different images",
        ),
        Offer(
            "synflow",
            "orchestrator_proxies.synflow:Synflow",
            "log of the flow through all weights, without data",
        ),
        Offer(
            "zen",
            "orchestrator_proxies.zen:Zen",
            "log of how strongly features react to noise, without data",
        ),
        Offer(
            "zico",
            "orchestrator_proxies.zico:Zico",
            "how steady the first gradients are from batch to batch",
        ),
    ]
