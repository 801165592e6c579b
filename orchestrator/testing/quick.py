"""A search without a device, data or training: the real proposer, journal and hooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.analysis import pareto
from orchestrator.contracts.objective import Axis, Budget
from orchestrator.contracts.sampler import Ground, Proposal
from orchestrator.contracts.space import SearchSpace, Trial
from orchestrator.errors import CandidateError
from orchestrator.plugins import Plugins, installed
from orchestrator.records import Check, Genotype, Record
from orchestrator.search.proposer import Proposer, read_records

__all__ = ["AXES", "Figures", "QuickSearch", "QuickStudy", "search_quickly"]

# What a candidate is worth; a CandidateError makes it a failed one.
Figures = Callable[[Genotype], Mapping[str, float]]

AXES = (
    Axis("accuracy", "share", "maximize", reference=0.0),
    Axis("params", "parameters", "minimize", reference=2000.0),
)


@dataclass(frozen=True)
class QuickSearch:
    """How to search: `sampler` makes one for a seed, by default the installed "tpe".

    An axis with a `min` or `max` has a budget, and what breaks it is rejected. `watchers` are
    modules or objects with hooks, which hear what those of an installed plugin would.
    """

    candidates: int = 50
    axes: Sequence[Axis] = AXES
    sampler: Callable[[int], Any] | None = None
    watchers: Sequence[object] = ()
    seed: int = 0


@dataclass
class QuickStudy:
    """What a quick search knows; watchers read it as they would any search."""

    name: str
    folder: Path
    axes: Sequence[Axis]
    records: list[Record] = field(default_factory=list)
    checks: Sequence[Check] = ()
    finalists: Sequence[Mapping[str, Any]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def feasible(self) -> list[Record]:
        """Candidates that keep every budget."""
        return [record for record in self.records if record.outcome == "feasible"]

    @property
    def front(self) -> list[Record]:
        """The feasible candidates that no other dominates."""
        feasible = self.feasible
        return [feasible[i] for i in pareto.front([r.values for r in feasible], self.axes)]

    @property
    def hypervolume(self) -> float:
        """Of the feasible candidates, in [0, 1]."""
        return pareto.hypervolume([record.values for record in self.feasible], self.axes)


def search_quickly(
    space: SearchSpace, figures: Figures, folder: Path, search: QuickSearch | None = None
) -> QuickStudy:
    """Search `space` for what `figures` tells of its genotypes; the journal is in `folder`.

    Called again with the same folder it goes on where it stopped. Raises AssertionError, with its
    traceback, where a watcher raises. Cost: some milliseconds a candidate.
    """
    search = search or QuickSearch()
    told = _Told(search.watchers)
    proposer = _proposer(space, folder / "study.journal", search)
    known = [proposer.records[number] for number in sorted(proposer.records)]
    study = QuickStudy(space.name, folder, search.axes, known)
    told("orchestrator_search_started", study=study)
    while len(study.records) < search.candidates:
        proposal = proposer.propose()
        if proposal is None:  # the space is used up
            break
        record = _judged(proposal, figures, search.axes)
        proposer.tell(record)
        study.records.append(record)
        told("orchestrator_candidate_finished", study=study, record=record)
    told("orchestrator_search_finished", study=study, front=study.front)
    assert len(read_records(folder / "study.journal")) == len(study.records)
    return study


class _Told:
    """Plugins of their own, so that nothing installed hears of a test."""

    def __init__(self, watchers: Sequence[object]) -> None:
        self._plugins = Plugins.empty()
        for place, watcher in enumerate(watchers):
            self._plugins.register(watcher, f"watcher {place}", "a test")
        problems = [problem.message for problem in self._plugins.problems]
        assert not problems, f"no plugin: {'; '.join(problems)}"

    def __call__(self, hook: str, **arguments: Any) -> None:
        for problem in self._plugins.notify(hook, **arguments):
            raise AssertionError(f"{problem.message}\n{problem.details}")


def _proposer(space: SearchSpace, journal: Path, search: QuickSearch) -> Proposer:
    def draw(trial: Trial) -> Genotype:
        return Genotype(space.name, space.preset, space.suggest(trial))

    sampler = search.sampler or _installed_tpe
    ground = Ground(search.axes, draw, budgets=_budgets(search.axes))
    proposer = Proposer(journal, ground, sampler, seed=search.seed)
    if not proposer.records:
        for name, point in space.published().items():
            proposer.suggest_first(point.choices, f"published: {name}")
    return proposer


def _installed_tpe(seed: int) -> Any:
    return installed().create("sampler", "tpe", {"seed": seed})


def _budgets(axes: Sequence[Axis]) -> dict[str, Budget]:
    limits = {axis.name: Budget(axis.min, axis.max) for axis in axes}
    return {name: budget for name, budget in limits.items() if budget != Budget()}


def _judged(proposal: Proposal, figures: Figures, axes: Sequence[Axis]) -> Record:
    """The candidate's record, timed."""
    start = time.monotonic()
    known: dict[str, Any] = {"choices": proposal.choices, "origin": proposal.origin}
    try:
        values = dict(figures(proposal.genotype))
    except CandidateError as error:
        known |= {"outcome": "failed", "reason": str(error), "step": "figures", "error": str(error)}
    else:
        limits = _budgets(axes).items()
        over = {name: limit.excess(values[name]) for name, limit in limits}
        broken = {name: excess for name, excess in over.items() if excess > 0}
        outcome = "rejected" if broken else "feasible"
        known |= {"outcome": outcome, "values": values, "violations": broken}
    seconds = time.monotonic() - start
    return Record(
        proposal.number, proposal.genotype, seconds=seconds, finished_at=time.time(), **known
    )
