"""Networks that are measured before it is decided which of them is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator import (
    Axis,
    Budget,
    Choices,
    Genotype,
    Ground,
    History,
    Measured,
    Record,
    Sampler,
    SamplerContext,
)
from orchestrator.errors import PluginError
from orchestrator.search.cluster import Cluster, Job, Resources
from orchestrator.search.loop import Callbacks, Limits, search
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.testing.toys import ToySpace

AXES = [Axis("accuracy", "share", "maximize", 0.0), Axis("latency_ms", "ms", "minimize", 9.0)]
BUDGETS = {"latency_ms": Budget(max=9.0)}


class Quickest(Sampler):
    """Has five random networks measured, and proposes the quickest that it knows."""

    def shortlist(self, history: History, context: SamplerContext) -> Sequence[Choices]:
        return [context.random(5 * len(history.records) + n) for n in range(5)]

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        known = [m for m in history.measured if not history.knows(m.genotype)]
        return min(known, key=lambda m: m.values["latency_ms"]).choices if known else None


def draw(trial: Any) -> Genotype:
    return Genotype("toy", "small", ToySpace().suggest(trial))


def proposer(folder: Path, sampler: Sampler | None = None, **more: Any) -> Proposer:
    ground = Ground(AXES, draw, budgets=BUDGETS, **{"measurable": ["latency_ms"], **more})
    return Proposer(folder / "journal", ground, lambda seed: sampler or Quickest())


def found(wanted: Measured) -> Record:
    """What a worker would say: a millisecond for each unit of width."""
    ms = float(sum(wanted.genotype.architecture["widths"]))
    record = Record(-1, wanted.genotype, "stopped", {"latency_ms": ms}, wanted.choices)
    record = replace(record, extra={"foreseen": True})
    over = {"latency_ms": ms - 9.0}
    return replace(record, outcome="rejected", violations=over) if ms > 9 else record


def step(asked: Proposer) -> Record:
    """One candidate, after its shortlist."""
    if wanted := asked.shortlist():
        asked.measured([found(each) for each in wanted])
    proposal = asked.propose()
    assert proposal is not None
    trained = Measured(proposal.genotype, proposal.choices, {})
    values = {**found(trained).values, "accuracy": 0.5}
    record = Record(proposal.number, proposal.genotype, "feasible", values, proposal.choices)
    return asked.tell(record)[0]


def test_a_sampler_decides_by_what_was_measured(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    wanted = [found(each) for each in asked.shortlist()]
    asked.measured(wanted)
    assert asked.shortlist() == []  # once a proposal
    proposal = asked.propose()
    quickest = min(wanted, key=lambda record: record.values["latency_ms"])
    assert proposal is not None and proposal.genotype == quickest.genotype
    assert asked.shortlist()


def test_what_breaks_a_budget_is_in_the_journal_and_not_paid_for(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    for _ in range(4):
        step(asked)
    records = read_records(tmp_path / "journal")
    over = [record for record in records if record.outcome == "rejected"]
    assert over and all(record.violations["latency_ms"] > 0 for record in over)
    assert asked.paid == 4 == len(records) - len(over)
    assert not {r.genotype.key for r in over} & {m.genotype.key for m in asked.history.measured}


def test_a_resumed_search_measures_nothing_twice(tmp_path: Path) -> None:
    whole = proposer(tmp_path)
    steps = [step(whole) for _ in range(2)]
    wanted = whole.shortlist()
    whole.measured([found(each) for each in wanted])
    resumed = proposer(tmp_path)
    assert resumed.shortlist() == []
    known = {each.genotype.key for each in resumed.history.measured}
    assert known == {each.genotype.key for each in whole.history.measured}
    assert len(resumed.history.records) == len(whole.history.records) > len(steps)
    proposals = [each.propose() for each in (whole, resumed)]
    assert proposals[0] == proposals[1]


def test_what_a_killed_search_found_and_did_not_tell_is_told(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    heavy = {"kind": "deep", "width": 4, "second": 7}
    over = found(Measured(asked._context.draw(heavy), heavy, {}))
    asked._shortlists.keep([over])  # and then it was killed
    (record,) = proposer(tmp_path).records.values()
    assert (record.number, record.outcome, record.paid) == (0, "rejected", False)


def test_nothing_is_measured_where_nothing_is_measurable(tmp_path: Path) -> None:
    assert proposer(tmp_path, measurable=[]).shortlist() == []


def test_a_shortlist_that_raises_is_told_with_the_sampler_s_name(tmp_path: Path) -> None:
    class Broken(Quickest):
        def shortlist(self, history: History, context: SamplerContext) -> Sequence[Choices]:
            raise ValueError("no list")

    with pytest.raises(PluginError, match="no list"):
        proposer(tmp_path, Broken()).shortlist()


# --- in the loop --------------------------------------------------------------------------------


def searched(asked: Proposer, shortlist: str, notes: list[str]) -> list[Record]:
    heard: list[Record] = []
    job = Job("toys:timed", {}, shortlist=f"toys:{shortlist}")
    search(asked, job, Resources(), Limits(4), Callbacks(heard.append, note=notes.append))
    return heard


def test_the_loop_measures_in_a_worker_and_then_trains_the_best(
    cluster: Cluster, tmp_path: Path
) -> None:
    asked, notes = proposer(tmp_path), list[str]()
    heard = searched(asked, "foreseen", notes)
    paid = [record for record in heard if record.paid]
    assert len(paid) == 4 and not notes
    assert [record.number for record in heard] == list(range(len(heard)))
    assert max(r.values["latency_ms"] for r in paid) <= 6  # most networks are slower


def test_a_shortlist_that_dies_is_told_and_the_search_goes_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    notes: list[str] = []
    heard = searched(proposer(tmp_path), "unforeseen", notes)
    assert len(heard) == 4
    assert len(notes) == 3 and "no more are" in notes[-1] and "no such kernel" in notes[0]
