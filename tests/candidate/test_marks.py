"""The gate of the finalists, rule by rule: at its threshold, just under it, just over it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from orchestrator.candidate.marks import (
    Comparison,
    FileFigures,
    Mark,
    budget_marks,
    compression_marks,
)

BEFORE = FileFigures(latency_ms=1.0, size_bytes=1000, reached=0.9)
GOOD = Comparison(BEFORE, FileFigures(latency_ms=0.5, size_bytes=300, reached=0.9), 1.0)

NOT_FASTER = Mark("smaller, not faster", blocks=False)
DID_NOT_PAY = Mark("compression did not pay: no smaller or faster", blocks=True)


def after(**figures: float) -> Comparison:
    return replace(GOOD, after=replace(GOOD.after, **figures))


def test_what_is_faster_smaller_and_the_same_has_no_mark() -> None:
    assert compression_marks(GOOD) == []


@pytest.mark.parametrize(
    ("latency_ms", "size_bytes", "expected"),
    [
        # Faster by more than 3 %, whatever the size.
        (0.9699, 300, []),
        (0.9699, 1000, []),
        (0.9699, 2000, []),
        # At 3 % it is within what measurements differ by, and so is more.
        (0.97, 300, [NOT_FASTER]),
        (1.0, 300, [NOT_FASTER]),
        (2.0, 300, [NOT_FASTER]),
        # Size by the same rule.
        (1.0, 969.9, [NOT_FASTER]),
        (1.0, 970, [DID_NOT_PAY]),
        (0.97, 970, [DID_NOT_PAY]),
        (1.0, 1000, [DID_NOT_PAY]),
        (2.0, 2000, [DID_NOT_PAY]),
    ],
)
def test_compression_has_to_pay(latency_ms: float, size_bytes: float, expected: list[Mark]) -> None:
    assert compression_marks(after(latency_ms=latency_ms, size_bytes=size_bytes)) == expected


@pytest.mark.parametrize(
    ("agreement", "percent"),
    [(1.0, None), (0.95, None), (0.9499, "95.0"), (0.5, "50.0"), (0.0, "0.0"), (math.nan, "nan")],
)
def test_another_function_is_never_recommended(agreement: float, percent: str | None) -> None:
    found = compression_marks(replace(GOOD, agreement=agreement))
    text = f"answers as its float network on only {percent} % of images"
    assert found == ([] if percent is None else [Mark(text, blocks=True)])


@pytest.mark.parametrize(
    ("accuracy", "points"),
    [(0.95, None), (0.9, None), (0.8801, None), (0.8799, "2.0"), (0.85, "5.0")],
)
def test_accuracy_that_is_lost_is_told_and_blocks_nothing(
    accuracy: float, points: str | None
) -> None:
    found = compression_marks(after(reached=accuracy))
    text = f"compression cost {points} points of accuracy"
    assert found == ([] if points is None else [Mark(text, blocks=False)])


def test_exactly_two_points_are_not_told() -> None:
    exact = replace(
        GOOD, before=replace(BEFORE, reached=0.02), after=replace(GOOD.after, reached=0.0)
    )
    assert exact.lost == 0.02
    assert compression_marks(exact) == []


def test_marks_add_up_in_the_order_of_the_rules() -> None:
    worst = Comparison(BEFORE, FileFigures(latency_ms=2, size_bytes=2000, reached=0.5), 0.6)
    assert [mark.blocks for mark in compression_marks(worst)] == [True, True, False]


def test_a_budget_that_is_missed_blocks() -> None:
    assert budget_marks({"latency_ms": 0.25, "params": 12.0}) == [
        Mark("latency_ms misses its budget by 0.25", blocks=True),
        Mark("params misses its budget by 12", blocks=True),
    ]
    assert budget_marks({}) == []
