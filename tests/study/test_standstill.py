from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.analysis.health import Health
from orchestrator.contracts import Axis
from orchestrator.errors import BudgetError, OrchestratorError
from orchestrator.records import Genotype, Outcome, Record
from orchestrator.study.standstill import flat, is_flat, over, refuse_alike, refuse_nothing

AXES = [Axis("accuracy", "share", "maximize", 0.0)]


def record(number: int, outcome: Outcome, **more: object) -> Record:
    return Record(number, Genotype("toy", "small", {"n": number}), outcome, **more)  # type: ignore[arg-type]


def seen(records: list[Record]) -> Health:
    health = Health(AXES)
    for each in records:
        health.see(each)
    return health


def reached(*accuracies: float) -> list[Record]:
    return [
        record(number, "feasible", values={"accuracy": accuracy})
        for number, accuracy in enumerate(accuracies)
    ]


def test_a_search_is_flat_once_patience_is_spent_without_a_gain() -> None:
    health = seen(reached(0.5, 0.6, 0.6, 0.2, 0.60001))
    assert not is_flat(health, None) and not is_flat(health, 4)
    assert is_flat(health, 3) and over(health, 3)
    assert flat(health).startswith("search: ended, as 3 trainings brought no more hypervolume")


def test_a_gain_begins_to_count_anew() -> None:
    assert not is_flat(seen(reached(0.5, 0.4, 0.4, 0.7, 0.1)), 3)


def test_what_was_not_trained_does_not_count() -> None:
    rejected = [record(9 + n, "rejected", violations={"accuracy": 1.0}) for n in range(9)]
    assert not is_flat(seen([*reached(0.5), *rejected]), 3)


def test_ten_that_fail_alike_and_nothing_else_end_it_with_their_reason() -> None:
    failures = [
        record(n, "failed", step="training", reason=f"no kernel for layer {n}") for n in range(10)
    ]
    assert not over(seen(failures[:9]), None)
    assert over(seen(failures), None)
    with pytest.raises(OrchestratorError, match=r"all 10 .* at training: no kernel for layer 0"):
        refuse_alike(seen(failures))
    another = record(10, "failed", step="export", reason="no file")
    assert not over(seen([*failures, another]), None)
    assert not over(seen([*failures, *reached(0.5)]), None)


def test_failures_beside_what_was_trained_and_kept_no_budget_do_not_end_it() -> None:
    failures = [record(n, "failed", step="export", reason="no file") for n in range(10)]
    over_budget = {"extra": {"trained": True}, "violations": {"latency_ms": 1.0}}
    assert over(seen(failures), None)
    assert not over(seen([record(10, "rejected", **over_budget), *failures]), None)


def test_a_search_whose_time_was_up_before_any_candidate_says_so() -> None:
    budget = SimpleNamespace(minutes=0.3)
    told: Any = SimpleNamespace(
        config=SimpleNamespace(budget=budget),
        records=[],
        units={},
        folder="runs/first",
        home=SimpleNamespace(report="runs/first/report.html"),
    )
    with pytest.raises(BudgetError, match=r"within budget.minutes=0.3.* resume runs/first"):
        refuse_nothing(told)
    told.records = reached(0.5)
    refuse_nothing(told)
