"""What is wrong with a search as a whole: found once, and not where all is well."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from made_search import AXES, study

from orchestrator.analysis.agreement import Agreement
from orchestrator.analysis.health import (
    Finding,
    Health,
    few_images,
    idle_choices,
    lopsided,
    no_learning,
    nothing_feasible,
    small_space,
    unranked,
)
from orchestrator.contracts import Axis
from orchestrator.records import Check, Finalist, Genotype, Outcome, Record

ACCURACY = Axis("accuracy", "share", "maximize", reference=0.0, leads=True)
MACS = Axis("macs", "", "minimize", reference=100.0)


def record(number: int, outcome: Outcome = "feasible", **told: Any) -> Record:
    known = {"values": {"accuracy": 0.5, "macs": 50.0}, "finished_at": float(number), **told}
    return Record(number, Genotype("toy", "small", {"n": number}), outcome, **known)


def failed(number: int, choices: Mapping[str, Any]) -> Record:
    reason = f"CompileError: no kernel at block {number}"
    return record(number, "failed", choices=choices, step="export", reason=reason, values={})


def found(records: list[Record]) -> dict[str, Finding]:
    health = Health([ACCURACY, MACS])
    told = [finding for each in records for finding in health.see(each)]
    assert len({finding.kind for finding in told}) == len(told), "a kind is told once"
    return {finding.kind: finding for finding in told}


def test_a_search_of_good_health_is_told_nothing() -> None:
    data = study(40)
    assert Health.of(data.records, AXES, {}).standing == []


def test_failures_that_are_alike_name_their_reason_and_what_they_share() -> None:
    lost = [failed(number, {"operator": "attention", "width": number}) for number in range(6)]
    kept = [record(10 + number, choices={"operator": "conv", "width": number}) for number in (0, 1)]
    told = found([*kept, *lost])["failures"].sentence
    assert "5 of 7 candidates failed alike at export: CompileError: no kernel at block 0." in told
    assert "All of them, and no other, have operator=attention" in told


def test_failures_of_many_kinds_are_no_finding() -> None:
    words = ["one", "two", "three", "four", "five", "six", "seven"]
    lost = [record(n, "failed", reason=word, values={}) for n, word in enumerate(words)]
    assert "failures" not in found([record(20), *lost])


def test_a_front_that_grows_no_more_is_told_after_as_many_candidates() -> None:
    flat = [record(number) for number in range(21)]
    assert "plateau" in found(flat) and "plateau" not in found(flat[:20])
    grown = [*flat[:20], record(20, values={"accuracy": 0.9, "macs": 9.0})]
    assert "plateau" not in found(grown)


def test_where_nothing_is_feasible_the_nearest_miss_is_named() -> None:
    over = [
        record(n, "rejected", values={"macs": 30.0 + n}, violations={"macs": 10.0 + n})
        for n in range(12)
    ]
    told = found(over)["nothing"].sentence
    assert (
        "Not one of 10 candidates is feasible; the commonest reason, 10 times: budget of macs"
        in told
    )
    assert "The nearest miss: candidate 0 with MACs 30, off by 10" in told
    assert nothing_feasible([*over, record(99)], {}) is None and nothing_feasible([], {}) is None


def test_a_choice_that_changes_nothing_is_named_and_one_that_does_is_not() -> None:
    draw = random.Random(3)
    records = []
    for number in range(80):
        choices = {"width": draw.choice([1, 2, 3]), "idle": number % 2}
        macs = 10.0 * choices["width"]
        values = {"accuracy": 0.2 * choices["width"], "macs": macs}
        records.append(record(number, values=values, choices=choices))
    told = idle_choices(records, [ACCURACY, MACS])
    assert told is not None and "no objective depends on idle." in told.seen
    assert idle_choices(records[:39], [ACCURACY, MACS]) is None
    files = [replace(one, network=one.number - 1) if one.number % 2 else one for one in records]
    alone = idle_choices(files, [ACCURACY, MACS])
    assert alone is None or "idle" not in alone.seen


def test_an_estimator_that_does_not_rank_is_told() -> None:
    reached = [(0.1 * n, 0.9 - 0.1 * n) for n in range(8)]
    checks = [
        Check(record(n, curve=(trained,)), estimated, trained, 3)
        for n, (estimated, trained) in enumerate(reached)
    ]
    told = unranked(Agreement.of(checks))
    assert told is not None and "Kendall's tau -1.00 over 8" in told.seen
    assert unranked(Agreement.of(checks[:3])) is None


def test_a_space_with_less_in_it_than_is_asked_for_is_told() -> None:
    told = small_space(12.0, 26)
    assert told is not None and "about 12 genotypes, and budget.candidates is 26" in told.seen
    assert small_space(26.0, 26) is None


def test_classes_that_are_too_rare_to_judge_by_are_named() -> None:
    told = few_images({"train": {"ill": 1}, "validation": {"ill": 3, "well": 80}})
    assert told is not None and "ill (3 in validation)." in told.seen
    assert "well" not in told.seen and few_images({"test": {"well": 80}}) is None


@pytest.mark.parametrize(("losses", "sound"), [((2.3, 2.0), True), ((2.3, 2.4), False)])
def test_steps_that_do_not_learn_are_told(losses: tuple[float, float], sound: bool) -> None:
    assert (no_learning(losses, 4.0) is None) is sound
    assert no_learning((2.3, float("nan")), 4.0) is not None


def test_accuracy_of_the_larger_class_alone_is_told() -> None:
    classes = {"well": {"count": 24, "accuracy": 1.0}, "ill": {"count": 3, "accuracy": 0.0}}
    figures = {"test_accuracy": 24 / 27, "test_balanced_accuracy": 0.5}
    told = lopsided(Finalist("0001-a", figures=figures, classes=classes))
    assert told is not None and "ill 0 of 3 right" in told.seen and "88.9 %" in told.seen
    assert lopsided(Finalist("0001-a", figures={**figures, "test_balanced_accuracy": 0.85})) is None
