"""A second classifier that learns a teacher's answers (Touvron et al. 2021, arXiv:2012.12877)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TwoClassifiers"]


class TwoClassifiers(nn.Module):
    """Put before a network that has `features`, (B, C), and a `classifier` on them.

    The answer is the mean of both classifiers, in training too.
    """

    classifier: nn.Linear
    # The network's own, (B, in_channels, H, W) → (B, C).
    features: Callable[[Tensor], Tensor]

    def __init__(self, *arguments: Any, classes: int, **options: Any) -> None:
        super().__init__(*arguments, classes=classes, **options)
        self.distillation_classifier = nn.Linear(self.classifier.in_features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        labelled, taught = self._answers(x)
        return (labelled + taught) / 2

    def heads(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, 2, classes): by the labels', then by the teacher's."""
        return torch.stack(self._answers(x), dim=1)

    def _answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.features(x)
        return self.classifier(x), self.distillation_classifier(x)
