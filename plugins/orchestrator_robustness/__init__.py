"""What is left of a network's figures where images are noisy, blurred, in bad weather or coarse."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_objectives"]


@hookimpl
def orchestrator_objectives() -> Sequence[Offer]:
    """The objective."""
    return [
        Offer(
            "robustness",
            "orchestrator_robustness.objective:Robustness",
            "the task's leading metric on corrupted images, the mean over kinds and severities",
        )
    ]
