"""Distillation by soft labels (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

loss = (1 − α) · before + α · T² · CE(softmax(teacher / T), student / T)

`before` is the loss without distillation, usually CE(targets, student). T² keeps the gradients of
the second part at the size of the first whatever the temperature.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from orchestrator import Loss
from orchestrator_distillation.teacher import Teacher

__all__ = ["SoftLabelLoss"]


class SoftLabelLoss:
    """The loss before, and cross-entropy with a teacher's softened probabilities.

    A network's several classifiers are told apart where the loss before does; the teacher is
    then followed by their mean.
    """

    def __init__(self, before: Loss, teacher: Teacher, alpha: float, temperature: float) -> None:
        self.before = before
        self.teacher = teacher
        self.alpha = alpha
        self.temperature = temperature
        self.per_head: bool = getattr(before, "per_head", False)

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """images (B, C, H, W), logits (B, classes), targets (B, classes) → scalar.

        Logits (B, heads, classes) too, where the loss before takes them.
        """
        labels = self.before(images, logits, targets)
        mean = logits.mean(1) if logits.dim() == 3 else logits
        soft = functional.softmax(self.teacher(images, mean) / self.temperature, dim=1)
        taught = functional.cross_entropy(mean / self.temperature, soft)
        return (1 - self.alpha) * labels + self.alpha * self.temperature**2 * taught
