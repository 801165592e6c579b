"""Every hook, in the order of a run.

A hook that offers things returns light descriptions; see `orchestrator.Offer`. Each plugin's hook
is called on its own, so wrappers are refused.

`API` is the number of these hooks and of the contracts. It rises when something is added that a
plugin may rely on; a plugin that does says so in its entry point's module, `ORCHESTRATOR_API = 2`,
and is left out, with that reason, where Orchestrator is older. A plugin that asks for nothing
asks for 1.

What is taken away or changed goes on for two minor versions with a DeprecationWarning that names
what to use instead; hooks and contracts gain optional arguments only. Files of a run are read by
the two versions of their format that came last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from orchestrator.contracts import Offer, Study
    from orchestrator.records import Check, Record

__all__ = ["API", "hookimpl", "hookspec"]

# 2: Sampler, steps of compression, the outputs a space serves.
API = 2

hookspec = pluggy.HookspecMarker("orchestrator")
hookimpl = pluggy.HookimplMarker("orchestrator")


@hookspec
def orchestrator_config_dirs() -> Sequence[str]:  # type: ignore[empty-body]
    """Hydra search paths such as "pkg://my_plugin.conf"; `+search=mine` finds YAML there."""


@hookspec
def orchestrator_search_spaces() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `SearchSpace`."""


@hookspec
def orchestrator_datasets() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `Dataset`."""


@hookspec
def orchestrator_tasks() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `Task`."""


@hookspec
def orchestrator_objectives() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `Objective`."""


@hookspec
def orchestrator_compressors() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil one of the three kinds of `Compressor`."""


@hookspec
def orchestrator_devices() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `Device`."""


@hookspec
def orchestrator_places() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `Place`: where a device's runtime executes its files."""


@hookspec
def orchestrator_estimators() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `Estimator`."""


@hookspec
def orchestrator_samplers() -> Sequence[Offer]:  # type: ignore[empty-body]
    """Classes that fulfil `Sampler`, or functions and classes that give one of Optuna's.

    What takes an argument `seed` is given the run's, another one after a resume.
    """


@hookspec
def orchestrator_search_started(study: Study) -> None:
    """The plan is checked and the run's folder exists; called again after a resume."""


@hookspec
def orchestrator_candidate_finished(study: Study, record: Record) -> None:
    """A candidate's outcome is on disk. Called in the driver, so be quick."""


@hookspec
def orchestrator_candidate_checked(study: Study, check: Check) -> None:
    """A finished candidate was trained further than its estimate; `study` has learnt of it.

    Only where the estimator is approximate; a promising candidate is checked more than once, with
    more epochs each time. Called in the driver, so be quick.
    """


@hookspec
def orchestrator_search_finished(study: Study, front: Sequence[Record]) -> None:
    """Finalists are written; `front` is the feasible, non-dominated part of the search."""
