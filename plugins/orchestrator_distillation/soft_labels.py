"""Distillation by soft labels (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

loss = (1 − α) · CE(targets, student) + α · T² · CE(softmax(teacher / T), student / T)

T² keeps the gradients of the second part at the size of the first whatever the temperature.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from orchestrator_distillation.teacher import Teacher

__all__ = ["SoftLabelLoss"]


class SoftLabelLoss:
    """Cross-entropy with the labels and with a teacher's softened probabilities."""

    def __init__(self, teacher: Teacher, alpha: float, temperature: float) -> None:
        self.teacher = teacher
        self.alpha = alpha
        self.temperature = temperature

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """images (B, C, H, W), logits (B, classes), targets (B, classes) → scalar."""
        labels = functional.cross_entropy(logits, targets)
        soft = functional.softmax(self.teacher(images, logits) / self.temperature, dim=1)
        taught = functional.cross_entropy(logits / self.temperature, soft)
        return (1 - self.alpha) * labels + self.alpha * self.temperature**2 * taught
