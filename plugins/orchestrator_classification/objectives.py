"""The metrics of classification as objectives."""

from __future__ import annotations

from orchestrator import MetricObjective

__all__ = ["Accuracy", "BalancedAccuracy", "Top5"]


class Accuracy(MetricObjective):
    """The share of images in [0, 1] whose most likely class is right."""

    name = "accuracy"
    summary = "top-1 accuracy on images that training did not see"


class Top5(MetricObjective):
    """The share of images in [0, 1] whose class is among the five likeliest."""

    name = "top5"
    summary = "top-5 accuracy on images that training did not see"


class BalancedAccuracy(MetricObjective):
    """The mean over classes of top-1 accuracy in [0, 1]: small classes weigh as much as large."""

    name = "balanced_accuracy"
    summary = "mean accuracy of the classes on images that training did not see"
