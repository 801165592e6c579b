"""Attention heads are left out whole.

Many of a trained transformer's heads can go without much loss (Michel et al. 2019,
arXiv:1905.10650, who rank them by a gate's gradient, as criterion "taylor" does).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from orchestrator import CompressionContext, Trial, attention_heads
from orchestrator.errors import ConfigError
from orchestrator_pruning.checking import check_forward, example
from orchestrator_pruning.gradients import gradients
from orchestrator_pruning.pruning import FineTuning, Pruning

__all__ = ["HeadPruning"]

Criterion = Literal["magnitude", "taylor"]


class HeadPruning(Pruning):
    """Removes the same share of heads from every attention, one head staying at least.

    Of attentions whose modules tell where their heads lie, see `SearchSpace.fixed_layers`. Which
    ones go is decided by `criterion`: the norm of the weights that read a head, or what the loss
    would lose without it. How many go depends on choices and structure alone. Other options are
    those of `ChannelPruning`; MLPs of token blocks lose width there.
    """

    name = "head_pruning"
    calibration_images = 256

    def __init__(
        self,
        *,
        ratios: tuple[float, ...] = (0.0, 0.25, 0.5),
        criterion: Criterion = "magnitude",
        max_drop: float | None = None,
        retrain_share: float = 0.3,
        steps: int = 1,
        teacher_share: float = 0.5,
    ) -> None:
        super().__init__(ratios, max_drop, FineTuning(retrain_share, steps, teacher_share))
        if criterion not in ("magnitude", "taylor"):
            raise ConfigError(
                f"compressor.head_pruning.criterion: found {criterion!r}, expected 'magnitude' or "
                "'taylor'"
            )
        self.criterion: Criterion = criterion

    def suggest(self, trial: Trial) -> Mapping[str, Any]:
        """{"ratio": share of heads}, with "criterion" where it is not magnitude, or {}."""
        choices = dict(super().suggest(trial))
        if not choices or self.criterion == "magnitude":
            return choices
        return {**choices, "criterion": self.criterion}

    def remover(
        self, network: nn.Module, choices: Mapping[str, Any], context: CompressionContext
    ) -> _HeadRemover:
        """Ratios are of the heads there were at first."""
        taylor = choices.get("criterion") == "taylor" and not context.preview
        return _HeadRemover(network, context, taylor)


class _HeadRemover:
    def __init__(self, network: nn.Module, context: CompressionContext, taylor: bool) -> None:
        self.network = network
        self.context = context
        self.taylor = taylor
        self.first = {heads.module: heads.count for heads in attention_heads(network)}

    @property
    def achieved(self) -> float:
        """Of all heads."""
        first = sum(self.first.values())
        left = sum(heads.count for heads in attention_heads(self.network))
        return (first - left) / max(1, first)

    @property
    def obstacle(self) -> str:
        """What keeps every head."""
        if not self.first:
            return "no attention tells where its heads lie (head_layers)"
        return f"attentions have {sorted(self.first.values())} heads, of which one stays at least"

    def __call__(self, ratio: float) -> nn.Module:
        """Until that share is gone; raises CompressionError."""
        scores = self._scores()
        for heads in attention_heads(self.network):
            first = self.first[heads.module]
            kept = max(1, first - int(ratio * first))
            if kept < heads.count:
                best = torch.argsort(scores[heads.module], descending=True)[:kept]
                heads.keep(sorted(best.tolist()))
        check_forward(self.network, example(self.network, self.context))
        return self.network

    def _scores(self) -> dict[nn.Module, Tensor]:
        """Attention → (heads,)."""
        if not self.taylor:
            return {
                heads.module: _by_head([_columns(layer) for layer in heads.readers], heads.count)
                for heads in attention_heads(self.network)
            }
        total: dict[nn.Module, Tensor] = {}
        for _ in gradients(self.network, self.context):
            for heads in attention_heads(self.network):
                effect = _by_head([_effects(layer) for layer in heads.readers], heads.count) ** 2
                total[heads.module] = total.get(heads.module, torch.zeros_like(effect)) + effect
        return total


def _by_head(columns: list[Tensor], count: int) -> Tensor:
    """(heads,): the sum of what its columns, (inputs,), are worth."""
    parts = [each.view(count, -1).sum(1) for each in columns]
    return torch.stack(parts).sum(0)


def _columns(layer: nn.Module) -> Tensor:
    """(inputs,): the squared norm of what reads each."""
    weight = layer.get_parameter("weight").detach()
    return weight.transpose(0, 1).flatten(1).square().sum(1)


def _effects(layer: nn.Module) -> Tensor:
    """(inputs,): Σ weight · gradient of what reads each."""
    weight = layer.get_parameter("weight")
    if weight.grad is None:
        return torch.zeros(weight.shape[1], device=weight.device)
    return (weight * weight.grad).detach().transpose(0, 1).flatten(1).sum(1)
