"""Classification: one class an image, and the figures by which that is judged."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_objectives", "orchestrator_tasks"]


@hookimpl
def orchestrator_tasks() -> Sequence[Offer]:
    """The task."""
    return [
        Offer(
            "classification",
            "orchestrator_classification.task:Classification",
            "one class for each image",
        )
    ]


@hookimpl
def orchestrator_objectives() -> Sequence[Offer]:
    """Its metrics."""
    return [
        Offer(
            "accuracy",
            "orchestrator_classification.objectives:Accuracy",
            "share of validation images that are classified correctly (top-1)",
        ),
        Offer(
            "top5",
            "orchestrator_classification.objectives:Top5",
            "share of validation images whose class is among the five likeliest",
        ),
        Offer(
            "balanced_accuracy",
            "orchestrator_classification.objectives:BalancedAccuracy",
            "mean over classes of the share of their validation images classified correctly",
        ),
    ]
