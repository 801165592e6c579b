"""The context that estimators get: how this run trains, judges and keeps networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from orchestrator.config import TrainConfig
from orchestrator.contracts import (
    Dataset,
    EstimationContext,
    Placement,
    SearchSpace,
    Task,
    Training,
)
from orchestrator.measuring.gate import Gate
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.footing import Footing
from orchestrator.training.placement import placed
from orchestrator.training.scoring import leading_figure
from orchestrator.training.weights import WeightFolder

__all__ = ["estimation_context", "footing_of"]


@dataclass(frozen=True)
class _Trainer:
    footing: Footing
    config: TrainConfig

    def __call__(self, network: nn.Module, **run: Any) -> Training:
        return train(network, self.footing, self.config, TrainRun(**run))


@dataclass(frozen=True)
class _Judging:
    footing: Footing

    def __call__(self, network: nn.Module) -> float:
        with placed(network, self.footing.placement):
            return leading_figure(network, self.footing)


def estimation_context(
    footing: Footing, space: SearchSpace, config: TrainConfig, weights: Path, **more: Any
) -> EstimationContext:
    """A context on `footing`; `more` are its other fields, `seed` among them."""
    return EstimationContext(
        space=space,
        dataset=footing.dataset,
        train=config,
        weights=weights,
        task=footing.task,
        trainer=_Trainer(footing, config),
        judge=_Judging(footing),
        store=WeightFolder(weights),
        placement=footing.placement,
        gate=footing.gate,
        **more,
    )


def footing_of(context: EstimationContext) -> Footing:
    """The footing of a context, its samples kept ready from one candidate to the next."""
    return _footing(context.task, context.dataset, context.placement, context.gate)


@lru_cache(maxsize=4)
def _footing(task: Task, dataset: Dataset, placement: Placement, gate: Gate | None) -> Footing:
    return Footing(task, dataset, placement, gate)
