"""The searches of papers, as samplers: what to compare others with."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_samplers"]

ORCHESTRATOR_API = 2


@hookimpl
def orchestrator_samplers() -> Sequence[Offer]:
    """EfficientFormer's and NetAdapt's descents and EfficientNet's compound scaling."""
    here = "orchestrator_papers"
    return [
        Offer(
            "slimming",
            f"{here}.slimming:SlimmingSampler",
            "EfficientFormer's slimming: what is least important for what it saves goes first.",
        ),
        Offer(
            "netadapt",
            f"{here}.netadapt:NetAdaptSampler",
            "NetAdapt: from the largest network, each round what loses least accuracy.",
        ),
        Offer(
            "compound",
            f"{here}.compound:CompoundSampler",
            "EfficientNet's scaling of depth, width and resolution together.",
        ),
    ]
