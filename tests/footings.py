"""Classification on a dataset, here and without a gate: what trainings of tests stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator_classification.task import Classification

from orchestrator import Dataset, EstimationContext, SearchSpace, TrainConfig
from orchestrator.plugins import installed
from orchestrator.training.estimation import estimation_context
from orchestrator.training.footing import Footing

# One for all, so that samples are kept ready.
TASK = Classification()


def footing(dataset: Dataset, **more: Any) -> Footing:
    """A footing of classification."""
    return Footing(TASK, dataset, **more)


def context(
    space: SearchSpace, dataset: Dataset, train: TrainConfig, weights: Path, **more: Any
) -> EstimationContext:
    """What estimators get, with the objectives named by `asks`."""
    asked = {name: installed().create("objective", name, {}) for name in more.pop("asks", ())}
    more = {"seed": 0, "objectives": asked, **more}
    return estimation_context(footing(dataset), space, train, weights, **more)
