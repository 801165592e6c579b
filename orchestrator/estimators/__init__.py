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
            "Train every candidate for a few epochs, from scratch or from trained weights.",
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
        Offer(
            "probe",
            "orchestrator.estimators.probe:ProbeEstimator",
            "Solve the last layer on the features of trained weights, without training.",
        ),
        Offer(
            "auto",
            "orchestrator.estimators.auto:AutoEstimator",
            "Try the others on a few candidates and take the cheapest that ranks well.",
        ),
    ]
