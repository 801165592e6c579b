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
        Offer(
            "supernet",
            "orchestrator.estimators.supernet:SupernetEstimator",
            "Train weights that all candidates share, then judge each with its part of them.",
        ),
        Offer(
            "proxy",
            "orchestrator.estimators.proxy:ProxyEstimator",
            "Predict accuracy from a score of the untrained network and a few trained ones.",
        ),
    ]
