"""What pruning of every kind does: how far, in how many steps, and what is trained afterwards."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from orchestrator import (
    CompressionContext,
    Loss,
    NetworkCompressor,
    SoftLabelLoss,
    Teacher,
    Trial,
    settle_statistics,
    strongest,
)
from orchestrator.errors import CompressionError, ConfigError

__all__ = ["FineTuning", "Pruning", "Remover", "scheduled"]

# What bisection chooses from.
STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# A training that shows no more images of one than these shows them again soon enough.
_FEW_VIEWS = 2
_MEMORY_BYTES = 256 * 2**20


@dataclass(frozen=True)
class FineTuning:
    """What follows. `share` is of the candidate's epochs, 0 for none.

    `steps` is in how many steps the network gets there, each trained for its part of the share.
    `teacher_share` in [0, 1] is how much of the loss follows a teacher: the configuration's, or
    the network as it was before. `probe_steps` are the batches that bisection trains for.
    """

    share: float = 0.3
    steps: int = 1
    teacher_share: float = 0.5
    probe_steps: int = 20


class Remover(Protocol):
    """Takes parts out of one network, in place."""

    def __call__(self, ratio: float) -> nn.Module:
        """Until that share of what there was at first is gone, or as much as there may be.

        Raises CompressionError for a network that then fails.
        """

    @property
    def achieved(self) -> float:
        """The share that is gone."""

    @property
    def obstacle(self) -> str:
        """Why nothing is gone, as the end of a sentence."""


class Pruning(NetworkCompressor):
    """Removes a share of something, in one step or several, and trains the rest for a while.

    `ratios` in [0, 1) are what the search chooses from; 0 means no pruning. With `max_drop`, the
    most of the leading metric that may be lost, it chooses between none and the strongest of
    `strengths` that loses no more, found by bisection on the trained network after `probe_steps`
    batches of training each; where none keeps to it the network stays whole.
    """

    # Those that quantization-aware training learnt are of what would then be gone.
    conflicts = frozenset({"ranges"})

    def __init__(
        self, ratios: tuple[float, ...], max_drop: float | None, tuning: FineTuning
    ) -> None:
        self._check("ratios", ratios, bool(ratios) and all(0 <= each < 1 for each in ratios))
        self._check("max_drop", max_drop, max_drop is None or 0 < max_drop < 1)
        self._check("retrain_share", tuning.share, tuning.share >= 0)
        self._check("steps", tuning.steps, tuning.steps >= 1)
        self._check("teacher_share", tuning.teacher_share, 0 <= tuning.teacher_share <= 1)
        self.ratios = ratios
        self.max_drop = max_drop
        self.tuning = tuning
        self.foreseen = max_drop is None

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"ratio": share}, or {"max_drop": of the leading metric}, or {} for none."""
        if self.max_drop is None:
            ratio = trial.suggest_categorical(f"{self.name}.ratio", list(self.ratios))
            return {"ratio": ratio} if ratio else {}
        drop = trial.suggest_categorical(f"{self.name}.max_drop", [0.0, self.max_drop])
        return {"max_drop": drop} if drop else {}

    @abstractmethod
    def remover(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> Remover:
        """What takes parts out of `network`, which is whole."""

    def compress(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> nn.Module:
        """`network` with less in it, trained on; raises CompressionError if it then fails."""
        before = _parameters(network)
        ratio, remover = self._ratio(network, choices, context), None
        if ratio:
            remover = self.remover(network, choices, context)
            loss = self._loss(network, context)
            steps = [ratio] if context.preview else scheduled(ratio, self.tuning.steps)
            for share in steps:
                network = self._step(remover, share, context)
                if context.retrain is not None and self.tuning.share > 0:
                    context.retrain(network, self.tuning.share / len(steps), loss=loss)
            if "ratio" in choices and not remover.achieved:
                raise CompressionError(
                    f"{self.name}.ratio={ratio:g} removed nothing: {remover.obstacle}."
                )
        self._tell(context, "asked", ratio)
        self._tell(context, "achieved", remover.achieved if remover else 0.0)
        self._tell(context, "parameters_removed", 1 - _parameters(network) / before)
        return network

    def _ratio(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> float:
        """The one that was chosen, or the strongest that loses no more than was chosen."""
        if "ratio" in choices:
            return float(choices["ratio"])
        if context.judge is None:
            return max(STRENGTHS)
        loss = self._loss(network, context)
        whole = context.judge(network)

        def reached(ratio: float) -> float:
            assert context.judge is not None
            other = copy.deepcopy(network)
            other = self._step(self.remover(other, choices, context), ratio, context)
            if context.retrain is not None and self.tuning.probe_steps:
                context.retrain(other, 0.0, loss=loss, steps=self.tuning.probe_steps)
            return context.judge(other)

        found = strongest(STRENGTHS, reached, whole - float(choices["max_drop"]))
        self._tell(context, "max_drop", float(choices["max_drop"]))
        return found or 0.0

    def _step(self, remover: Remover, ratio: float, context: CompressionContext) -> nn.Module:
        network = remover(ratio)
        if not context.preview:
            settle_statistics(network, images_for(network, context))
        return network

    def _loss(self, network: nn.Module, context: CompressionContext) -> Loss | None:
        """That follows a teacher; None for the candidate's own, which may follow one already."""
        if context.retrain is None or context.taught or not self.tuning.teacher_share:
            return None
        few = context.views is not None and context.views <= _FEW_VIEWS
        who = context.teacher if context.teacher is not None else copy.deepcopy(network)
        teacher = Teacher(who, memory_bytes=_MEMORY_BYTES if few else 0)
        return SoftLabelLoss(context.loss, teacher, self.tuning.teacher_share)

    def _tell(self, context: CompressionContext, what: str, value: float | str) -> None:
        context.report[f"{self.name}.{what}"] = (
            round(value, 6) if isinstance(value, float) else value
        )

    def _check(self, option: str, value: object, fine: bool) -> None:
        expected = {
            "ratios": "some in [0, 1)",
            "max_drop": "none, or a share in (0, 1)",
            "retrain_share": "at least 0",
            "steps": "at least 1",
            "teacher_share": "a share in [0, 1]",
        }
        if not fine:
            raise ConfigError(
                f"compressor.{self.name}.{option}: found {value}, expected {expected[option]}"
            )


def scheduled(ratio: float, steps: int) -> list[float]:
    """The share that is gone after each step: most of it early, when there is much to spare.

    Cubic, s_f · (1 − (1 − t / n)³) (Zhu and Gupta 2017, arXiv:1710.01878).
    """
    return [ratio * (1 - (1 - step / steps) ** 3) for step in range(1, steps + 1)]


def images_for(network: nn.Module, context: CompressionContext) -> Tensor:
    """The calibration images, where the network is."""
    where = next(network.parameters())
    return torch.from_numpy(context.calibration).to(where)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
