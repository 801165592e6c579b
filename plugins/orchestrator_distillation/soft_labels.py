"""Distillation by soft labels (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

loss = (1 − α) · CE(targets, student) + α · T² · CE(softmax(teacher / T), student / T)

T² keeps the gradients of the second part at the size of the first whatever the temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import CompressionContext, TrainingCompressor, Trial
from orchestrator.errors import CompressionError, ConfigError

__all__ = ["SoftLabelDistillation"]


class SoftLabelDistillation(TrainingCompressor):
    """Mixes the labels with a teacher's softened probabilities.

    `alphas` in [0, 1] are the teacher's shares of the loss that the search chooses from; 0 means
    no distillation. `temperature` > 0: higher tells more of the unlikely classes. Costs one
    forward pass of the teacher a batch.
    """

    name = "distillation"
    needs_teacher = True

    def __init__(self, *, alphas: tuple[float, ...] = (0.0, 0.5), temperature: float = 2.0) -> None:
        if not alphas or not all(0 <= alpha <= 1 for alpha in alphas):
            raise ConfigError(
                f"compressor.distillation.alphas: found {alphas}, expected some in [0, 1]"
            )
        if temperature <= 0:
            raise ConfigError(
                f"compressor.distillation.temperature: found {temperature}, expected above 0"
            )
        self.alphas = alphas
        self.temperature = temperature

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"alpha": the teacher's share} or {} for none."""
        alpha = trial.suggest_categorical("distillation.alpha", list(self.alphas))
        return {"alpha": alpha} if alpha else {}

    def loss(
        self, choices: Mapping[str, Any], context: CompressionContext
    ) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """The mixed loss; raises CompressionError without a teacher."""
        if context.teacher is None:
            raise CompressionError(
                "distillation needs a teacher and the configuration names none: set teacher=… or "
                "leave the compressor out."
            )
        return _SoftLabelLoss(context.teacher, float(choices["alpha"]), self.temperature)


class _SoftLabelLoss:
    """images (B, C, H, W), logits (B, classes), targets (B, classes) → scalar."""

    def __init__(self, teacher: nn.Module, alpha: float, temperature: float) -> None:
        self.teacher = teacher.eval()
        self.alpha = alpha
        self.temperature = temperature

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        labels = functional.cross_entropy(logits, targets)
        soft = functional.softmax(self._teach(images, logits) / self.temperature, dim=1)
        taught = functional.cross_entropy(logits / self.temperature, soft)
        return (1 - self.alpha) * labels + self.alpha * self.temperature**2 * taught

    def _teach(self, images: Tensor, logits: Tensor) -> Tensor:
        self.teacher.to(images.device)
        with torch.no_grad():
            answer: Tensor = self.teacher(images)
        if answer.shape != logits.shape:
            raise CompressionError(
                f"the teacher answers {tuple(answer.shape)}, the student {tuple(logits.shape)}: "
                "both must know the same classes."
            )
        return answer
