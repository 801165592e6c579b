"""Top-1 accuracy, as the estimator or the exported file showed it."""

from __future__ import annotations

import math
from typing import ClassVar

from orchestrator import Objective, Subject
from orchestrator.errors import CandidateError

__all__ = ["Accuracy"]


class Accuracy(Objective):
    """The share of images in [0, 1] whose most likely class is right. Costs nothing here."""

    name = "accuracy"
    unit = "share"
    direction = "maximize"
    tier = "estimated"
    summary: ClassVar[str] = "top-1 accuracy on images that training did not see"

    def measure(self, subject: Subject) -> float:
        """`subject.metrics["accuracy"]`; raises CandidateError if it is missing or no share."""
        if "accuracy" not in subject.metrics:
            known = ", ".join(sorted(subject.metrics)) or "none"
            raise CandidateError(
                f"no accuracy is known; known metrics: {known}. The estimator must report "
                'one called "accuracy".'
            )
        accuracy = float(subject.metrics["accuracy"])
        if not (math.isfinite(accuracy) and 0.0 <= accuracy <= 1.0):
            raise CandidateError(
                f"accuracy is {accuracy}, expected a share in [0, 1]. A percentage must be "
                "divided by 100; nan means that training diverged."
            )
        return accuracy
