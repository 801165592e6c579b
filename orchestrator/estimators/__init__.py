"""How accuracy is known during the search."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.contracts.offer import Offer
from orchestrator.hookspecs import hookimpl

__all__ = ["orchestrator_estimators"]


@hookimpl
def orchestrator_estimators() -> Sequence[Offer]:
    """The built-in estimators."""
    return [
        Offer(
            "train",
            "orchestrator.estimators.train:TrainEstimator",
            "Train every candidate from scratch for a few epochs.",
        ),
    ]
