"""Segmentation: one class a pixel, heads that answer so, and the figures that judge it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_objectives", "orchestrator_tasks"]


@hookimpl
def orchestrator_tasks() -> Sequence[Offer]:
    """The task."""
    return [
        Offer(
            "segmentation",
            "orchestrator_segmentation.task:Segmentation",
            "one class for each pixel",
        )
    ]


@hookimpl
def orchestrator_objectives() -> Sequence[Offer]:
    """Its metrics."""
    return [
        Offer(
            "miou",
            "orchestrator_segmentation.objectives:MeanIou",
            "mean over classes of intersection over union",
        ),
        Offer(
            "pixel_accuracy",
            "orchestrator_segmentation.objectives:PixelAccuracy",
            "share of validation pixels that are classified correctly",
        ),
        Offer(
            "iou",
            "orchestrator_segmentation.objectives:ClassIou",
            "intersection over union of one class, the one called cls",
        ),
    ]
