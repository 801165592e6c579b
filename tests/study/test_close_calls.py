"""Candidates of the front that latency does not tell apart are measured again, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory, genotype

from orchestrator.analysis.remeasured import Remeasured
from orchestrator.candidate.factory import Factory
from orchestrator.plan.planning import make_plan
from orchestrator.records import Finalist, Latency, Record
from orchestrator.study.close_calls import settle_close_calls
from orchestrator.study.run_folder import RunFolder
from orchestrator.study.study import Study

pytestmark = pytest.mark.usefixtures("toys")


def timed(ms: float) -> Latency:
    return Latency(ms, ms, ms, ms, ms, 60, low_ratio=0.98 * ms, high_ratio=1.02 * ms)


def feasible(number: int, accuracy: float, ms: float) -> Record:
    values = {"accuracy": accuracy, "latency_ms": ms, "params": 1.0}
    known = {"toy": timed(ms)}
    return Record(number, genotype(1 + number), "feasible", values, latencies=known)


class Session:
    """A worker that finds what it is told to find; what is asked is kept."""

    def __init__(self, **found: float) -> None:
        self.found, self.asked = found, list[Mapping[str, Any]]()

    def __call__(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(asked)
        (device,) = asked["devices"]
        return {n: {device: asdict(timed(self.found[f"_{n}"]))} for n in asked["genotypes"]}


@pytest.fixture
def search(tmp_path: Path) -> tuple[Study, Factory]:
    """0 and 1 overlap, 2 is apart from both; all three are on the front."""
    made = factory(tmp_path, objective={"latency_ms": {"name": "latency_ms", "max": 3.0}})
    name = next(iter(made.assembly.deployed))
    records = [feasible(0, 0.5, 1.0), feasible(1, 0.6, 1.01), feasible(2, 0.9, 2.0)]
    records = [replace(r, latencies={name: r.latencies["toy"]}) for r in records]
    plan = make_plan(made, 1)
    return Study(made.config, RunFolder(tmp_path), plan, made.plugins, records=records), made


def test_those_that_overlap_are_measured_in_one_session_and_the_front_follows(search) -> None:
    study, made = search
    session = Session(_0=1.2, _1=1.0)
    settle_close_calls(study, made, session)
    assert [sorted(asked["genotypes"]) for asked in session.asked] == [["0", "1"]]
    assert [record.number for record in study.front] == [2, 1]
    assert (
        study.remeasured.left == 0 and "after which 0 of these cannot" in study.remeasured.sentence
    )


def test_what_was_measured_survives_a_resume_and_is_not_measured_again(search) -> None:
    study, made = search
    settle_close_calls(study, made, Session(_0=1.0, _1=1.001))
    again = replace(study, remeasured=Remeasured.read(study.folder))
    again.learn([])
    session = Session()
    settle_close_calls(again, made, session)
    assert session.asked == [] and again.remeasured.left == 1
    assert again.records[1].values["latency_ms"] == 1.001


def test_one_that_breaks_a_budget_by_it_is_rejected(search) -> None:
    study, made = search
    settle_close_calls(study, made, Session(_0=1.0, _1=3.5))
    assert study.records[1].outcome == "rejected"
    assert study.records[1].violations == {"latency_ms": 0.5}


def test_a_search_that_has_finalists_has_chosen(search) -> None:
    study, made = search
    study.finalists = [Finalist("0000", 0)]
    session = Session()
    settle_close_calls(study, made, session)
    assert session.asked == [] and not study.remeasured.found


def test_a_latency_that_no_session_measured_is_left_as_it_is(search) -> None:
    study, made = search
    study.records = [replace(record, latencies={}) for record in study.records]
    session = Session()
    settle_close_calls(study, made, session)
    assert session.asked == []


def test_a_latency_that_is_only_reported_tells_the_same_figure(tmp_path: Path) -> None:
    reported = {"latency_small": {"name": "latency_ms", "role": "reported"}}
    made = factory(tmp_path, objective={"latency_ms": {"name": "latency_ms"}, **reported})
    name = next(iter(made.assembly.deployed))
    records = [feasible(0, 0.5, 1.0), feasible(1, 0.6, 1.01)]
    records = [
        replace(
            r,
            latencies={name: r.latencies["toy"]},
            values={**r.values, "latency_small": r.values["latency_ms"]},
        )
        for r in records
    ]
    study = Study(
        made.config, RunFolder(tmp_path), make_plan(made, 1), made.plugins, records=records
    )
    settle_close_calls(study, made, Session(_0=1.2, _1=1.0))
    assert [r.values["latency_small"] for r in study.records] == [1.2, 1.0]
