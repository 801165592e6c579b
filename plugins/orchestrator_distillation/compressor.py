"""Distillation as a compressor: how much of the loss is a teacher's, and in which form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor

from orchestrator import CompressionContext, SoftLabelLoss, Teacher, TrainingCompressor, Trial
from orchestrator.errors import CompressionError, ConfigError
from orchestrator_distillation.hard_labels import HardLabelLoss

__all__ = ["Distillation"]

Kind = Literal["soft", "hard"]


class Distillation(TrainingCompressor):
    """Mixes the labels with a teacher's answers.

    `alphas` in [0, 1] are the teacher's shares of the loss that the search chooses from; 0 means
    no distillation. `kinds`, also for the search to choose from, are the forms its answers come
    in: "soft", its softened probabilities, or "hard", the class it finds likeliest, which a
    network with several classifiers learns with its second. `temperature` > 0, for "soft" only:
    higher tells more of the unlikely classes. Costs one forward pass of the teacher a batch.
    """

    name = "distillation"
    needs_teacher = True

    def __init__(
        self,
        *,
        alphas: tuple[float, ...] = (0.0, 0.5),
        kinds: tuple[Kind, ...] = ("soft",),
        temperature: float = 2.0,
    ) -> None:
        _check_alphas(alphas, kinds)
        if not kinds or len(set(kinds)) < len(kinds) or not {"soft", "hard"}.issuperset(kinds):
            raise ConfigError(
                f"compressor.distillation.kinds: found {kinds}, expected soft, hard or both"
            )
        if temperature <= 0:
            raise ConfigError(
                f"compressor.distillation.temperature: found {temperature}, expected above 0"
            )
        self.alphas = alphas
        self.kinds = kinds
        self.temperature = temperature

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"alpha": the teacher's share}, with "kind" unless it is soft, or {} for none."""
        alpha = trial.suggest_categorical("distillation.alpha", list(self.alphas))
        if not alpha:
            return {}
        kind = self.kinds[0]
        if len(self.kinds) > 1:
            kind = trial.suggest_categorical("distillation.kind", list(self.kinds))
        return {"alpha": alpha} if kind == "soft" else {"alpha": alpha, "kind": kind}

    def loss(
        self, choices: Mapping[str, Any], context: CompressionContext
    ) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """The mixed loss around the one before; raises CompressionError without a teacher."""
        if context.teacher is None:
            raise CompressionError(
                "distillation needs a teacher and the configuration names none: set teacher=… or "
                "leave the compressor out."
            )
        teacher, alpha = Teacher(context.teacher), float(choices["alpha"])
        if choices.get("kind", "soft") == "hard":
            return HardLabelLoss(context.loss, teacher, alpha)
        return SoftLabelLoss(context.loss, teacher, alpha, self.temperature)


def _check_alphas(alphas: tuple[float, ...], kinds: tuple[Kind, ...]) -> None:
    if not alphas or not all(0 <= alpha <= 1 for alpha in alphas):
        raise ConfigError(
            f"compressor.distillation.alphas: found {alphas}, expected some in [0, 1]"
        )
    if "hard" in kinds and 1 in alphas:
        raise ConfigError(
            f"compressor.distillation.alphas: found {alphas}, expected all below 1 with hard "
            "labels, which would leave the first classifier untrained"
        )
