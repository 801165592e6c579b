"""A sampler for searches in which one objective is dear and others are cheap."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_samplers"]

ORCHESTRATOR_API = 2


@hookimpl
def orchestrator_samplers() -> Sequence[Offer]:
    """The guided sampler."""
    target = "orchestrator_guided.sampler:GuidedSampler"
    return [
        Offer(
            "guided",
            target,
            "Gaussian process that knows what is cheap to ask (default).",
        )
    ]
