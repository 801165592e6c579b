"""An example plugin: a search space whose every network was trained beforehand."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_config_dirs", "orchestrator_estimators", "orchestrator_search_spaces"]


@hookimpl
def orchestrator_config_dirs() -> list[str]:
    """The YAML that makes `+search=tabulated` work."""
    return ["pkg://orchestrator_tabulated.conf"]


@hookimpl
def orchestrator_search_spaces() -> list[Offer]:
    """One space."""
    return [
        Offer(
            name="tabulated",
            target="orchestrator_tabulated.space:TabulatedSpace",
            summary="1,884 networks of one to three layers, all of them in a table",
        )
    ]


@hookimpl
def orchestrator_estimators() -> list[Offer]:
    """One estimator, of that space."""
    return [
        Offer(
            name="tabulated",
            target="orchestrator_tabulated.estimator:TabulatedEstimator",
            summary="accuracies looked up in a table of trained networks",
        )
    ]
