"""The metrics of segmentation as objectives."""

from __future__ import annotations

from orchestrator import MetricObjective
from orchestrator_segmentation.judge import class_figure

__all__ = ["ClassIou", "MeanIou", "PixelAccuracy"]


class MeanIou(MetricObjective):
    """Intersection over union in [0, 1], the mean over classes."""

    name = "miou"
    summary = "mean over classes of intersection over union, on images that training did not see"


class PixelAccuracy(MetricObjective):
    """The share of pixels in [0, 1] whose most likely class is right."""

    name = "pixel_accuracy"
    summary = "share of pixels classified correctly, on images that training did not see"


class ClassIou(MetricObjective):
    """Intersection over union in [0, 1] of the one class called `cls`."""

    name = "iou"
    summary = "intersection over union of one class, on images that training did not see"

    def __init__(self, *, cls: str | int) -> None:
        # A class called by a number is one in YAML too.
        self.cls = str(cls)
        self.figure = class_figure(self.cls)
