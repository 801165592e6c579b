"""Distillation as a compressor: how much of the loss is a teacher's, and in which form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor

from orchestrator import CompressionContext, SoftLabelLoss, Teacher, TrainingCompressor, Trial
from orchestrator.errors import CompressionError, ConfigError
from orchestrator_distillation.features import FeatureLoss, maps_of
from orchestrator_distillation.hard_labels import HardLabelLoss

__all__ = ["Distillation"]

Kind = Literal["soft", "hard", "features"]

_KINDS: tuple[Kind, ...] = ("soft", "hard", "features")
# A training that shows no more images of one than these shows them again soon enough.
_FEW_VIEWS = 2


class Distillation(TrainingCompressor):
    """Mixes the labels with a teacher's answers.

    `alphas` in [0, 1] are the teacher's shares of the loss that the search chooses from; 0 means
    no distillation. `kinds`, also for the search to choose from, are the forms its answers come
    in: "soft", its softened probabilities; "hard", the class it finds likeliest, which a network
    with several classifiers learns with its second; "features", where it looks, beside the labels.
    `temperature` > 0, for "soft" only: higher tells more of the unlikely classes.

    Costs one forward pass of the teacher a batch. Where training shows the same images again (no
    random augmentation, or mirrored ones only), what the teacher said of them is remembered, up to
    `memory_mb` megabytes a process, and then costs nothing in later epochs and candidates.
    """

    name = "distillation"
    needs_teacher = True

    def __init__(
        self,
        *,
        alphas: tuple[float, ...] = (0.0, 0.5),
        kinds: tuple[Kind, ...] = ("soft",),
        temperature: float = 2.0,
        memory_mb: int = 256,
    ) -> None:
        _check_alphas(alphas, kinds)
        if not kinds or len(set(kinds)) < len(kinds) or not set(_KINDS).issuperset(kinds):
            raise ConfigError(
                f"compressor.distillation.kinds: found {kinds}, expected some of "
                f"{', '.join(_KINDS)}"
            )
        if temperature <= 0:
            raise ConfigError(
                f"compressor.distillation.temperature: found {temperature}, expected above 0"
            )
        if memory_mb < 0:
            raise ConfigError(
                f"compressor.distillation.memory_mb: found {memory_mb}, expected 0 or more"
            )
        self.alphas = alphas
        self.kinds = kinds
        self.temperature = temperature
        self.memory_mb = memory_mb
        # What a teacher said is good for every candidate of this process.
        self._teachers: dict[str, Teacher] = {}

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"alpha": the teacher's share}, with "kind" unless it is soft, or {} for none."""
        alpha = trial.suggest_categorical("distillation.alpha", list(self.alphas))
        if not alpha:
            return {}
        kind: str = self.kinds[0]
        if len(self.kinds) > 1:
            kind = trial.suggest_categorical("distillation.kind", list(self.kinds))
        return {"alpha": alpha} if kind == "soft" else {"alpha": alpha, "kind": kind}

    def loss(
        self, choices: Mapping[str, Any], context: CompressionContext
    ) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """The mixed loss around the one before; raises CompressionError without a teacher."""
        kind, alpha = str(choices.get("kind", "soft")), float(choices["alpha"])
        teacher = self._teacher(kind, context)
        if kind == "features":
            return FeatureLoss(context.loss, teacher, alpha)
        if kind == "hard":
            return HardLabelLoss(context.loss, teacher, alpha)
        return SoftLabelLoss(context.loss, teacher, alpha, self.temperature)

    def _teacher(self, kind: str, context: CompressionContext) -> Teacher:
        """The one before, with what it remembers, unless it is of another network or recipe."""
        if context.teacher is None:
            raise CompressionError(
                "distillation needs a teacher and the configuration names none: set teacher=… or "
                "leave the compressor out."
            )
        asked = "maps" if kind == "features" else "logits"
        again = context.views is not None and context.views <= _FEW_VIEWS
        memory = self.memory_mb * 2**20 if again else 0
        known = self._teachers.get(asked)
        if known is None or (known.network, known.memory_bytes) != (context.teacher, memory):
            ask = maps_of if asked == "maps" else None
            known = Teacher(context.teacher, memory_bytes=memory, ask=ask)
            self._teachers[asked] = known
        return known

    def __getstate__(self) -> dict[str, Any]:
        """Without what was remembered."""
        return {**vars(self), "_teachers": {}}


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
