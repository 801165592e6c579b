"""Distillation by hard labels (Touvron et al. 2020, arXiv:2012.12877).

loss = (1 − α) · before(targets, first head) + α · CE(argmax(teacher), second head)

`before` is the loss without distillation, usually cross-entropy. The paper's α is ½. Both parts act
on the same logits where a network has one head only.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from orchestrator import Loss, Teacher

__all__ = ["HardLabelLoss"]


class HardLabelLoss:
    """The loss before, and cross-entropy with the class a teacher finds likeliest."""

    per_head: ClassVar[bool] = True

    def __init__(self, before: Loss, teacher: Teacher, alpha: float) -> None:
        self.before = before
        self.teacher = teacher
        self.alpha = alpha

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """images (B, C, H, W), logits (B, heads, classes) or (B, classes), targets → scalar."""
        first, second = (logits[:, 0], logits[:, -1]) if logits.dim() == 3 else (logits, logits)
        # A loss that tells heads apart as well teaches the same ones.
        own = logits if getattr(self.before, "per_head", False) else first
        labels = self.before(images, own, targets)
        taught = functional.cross_entropy(second, self.teacher.logits(images, second).argmax(1))
        return (1 - self.alpha) * labels + self.alpha * taught
