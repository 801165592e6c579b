"""The gate of the files that ship, rule by rule: at its threshold, just under it, just over it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.candidate.marks import (
    Aims,
    Mark,
    budget_marks,
    dominance_marks,
    gated,
    step_marks,
)
from orchestrator.contracts import Axis
from orchestrator.records import Latency, ShippedFile

ACCURACY = Axis("accuracy", "share", "maximize", reference=0.0, leads=True)
LATENCY = Axis("latency_ms", "ms", "minimize", reference=10.0)
SIZE = Axis("size_bytes", "bytes", "minimize", reference=1e6)
FAST = Aims([ACCURACY, LATENCY], {"latency_ms": "here"}, images=400)
SMALL = Aims([ACCURACY, SIZE], images=400)


def latency(ms: float, doubt: float = 0.0) -> Latency:
    """Known to within a share of itself, on a device whose reference takes 1 ms."""
    return Latency(ms, ms, ms, ms, ms, 60, low_ratio=ms * (1 - doubt), high_ratio=ms * (1 + doubt))


def file(label: str, **figures: Any) -> ShippedFile:
    """1 ms, 1000 bytes, 90 % where nothing else is said."""
    known = {"ms": 1.0, "size": 1000.0, "accuracy": 0.9, "doubt": 0.01, **figures}
    values = {
        "accuracy": known["accuracy"],
        "latency_ms": known["ms"],
        "size_bytes": known["size"],
    }
    return ShippedFile(
        label,
        "local",
        f"{label}.onnx",
        "onnx",
        int(known["size"]),
        steps=("quantization",),
        values=values,
        agreement=known.get("agreement"),
        latencies={"here": latency(known["ms"], known["doubt"])},
        reached=known["accuracy"],
        before=known.get("before", ""),
        verified=True,
    )


FLOAT = file("fp32")
DID_NOT_PAY = Mark("did not pay: nothing that is searched for is better than in fp32", blocks=True)


@pytest.mark.parametrize(
    ("figures", "pays"),
    [
        # Faster by more than 3 % and beyond both intervals.
        ({"ms": 0.5}, True),
        ({"ms": 0.9699, "doubt": 0.001}, True),
        ({"ms": 0.9701, "doubt": 0.001}, False),
        ({"ms": 0.9, "doubt": 0.2}, False),
        ({"ms": 1.5}, False),
        # A size that nobody searches for pays nothing.
        ({"size": 100.0}, False),
        # Accuracy by more than two standard errors of 400 images: 3 points of 90 %.
        ({"accuracy": 0.931, "ms": 1.5}, True),
        ({"accuracy": 0.929, "ms": 1.5}, False),
    ],
)
def test_a_step_pays_only_in_what_is_searched_for(figures: dict[str, float], pays: bool) -> None:
    found = step_marks(file("int8", **figures), FLOAT, FAST)
    assert (DID_NOT_PAY not in found) == pays


@pytest.mark.parametrize(("size", "pays"), [(969.0, True), (970.0, False), (2000.0, False)])
def test_size_pays_where_it_is_searched_for_and_latency_does_not(size: float, pays: bool) -> None:
    found = step_marks(file("int8", size=size, ms=0.1), FLOAT, SMALL)
    assert (DID_NOT_PAY not in found) == pays


def test_what_pays_in_one_and_costs_in_another_is_told_and_blocks_nothing() -> None:
    aims = replace(FAST, axes=[*FAST.axes, SIZE])
    found = step_marks(file("int8", size=300.0, ms=1.5), FLOAT, aims)
    assert found == [Mark("better in size, worse in latency", blocks=False)]


def test_without_intervals_three_percent_is_all_that_is_known() -> None:
    old = replace(FLOAT, latencies={"here": Latency(1.0, 1.0, 1.0, 1.0, 1.0, 60)})
    assert step_marks(file("int8", ms=0.96), old, FAST) == []
    assert step_marks(file("int8", ms=0.98), old, FAST) == [DID_NOT_PAY]


@pytest.mark.parametrize(
    ("agreement", "percent"),
    [
        (None, None),
        (1.0, None),
        (0.95, None),
        (0.9499, "95.0"),
        (0.5, "50.0"),
        (0.0, "0.0"),
        (math.nan, "nan"),
    ],
)
def test_another_function_is_never_recommended(
    agreement: float | None, percent: str | None
) -> None:
    found = step_marks(file("int8", ms=0.5, agreement=agreement), FLOAT, FAST)
    text = f"answers as its float network on only {percent} % of images"
    assert found == ([] if percent is None else [Mark(text, blocks=True)])


@pytest.mark.parametrize(
    ("accuracy", "points"),
    [(0.95, None), (0.9, None), (0.8801, None), (0.8799, "2.0"), (0.85, "5.0")],
)
def test_accuracy_that_a_step_cost_is_told_and_blocks_nothing(
    accuracy: float, points: str | None
) -> None:
    found = step_marks(file("int8", ms=0.5, accuracy=accuracy), FLOAT, FAST)
    text = f"quantization cost {points} points of accuracy"
    assert found == ([] if points is None else [Mark(text, blocks=False)])


def test_the_first_file_of_a_network_has_nothing_to_pay_for() -> None:
    assert step_marks(FLOAT, None, FAST) == []


def test_each_step_is_judged_against_the_file_before_it() -> None:
    """Pruning pays, int8 of the pruned network does not, though it beats the unpruned one."""
    unpruned, pruned = file("unpruned"), file("fp32", ms=0.5, accuracy=0.88, before="unpruned")
    int8 = file("int8", ms=0.6, accuracy=0.88, before="fp32", agreement=0.99)
    found = {f.label: f for f in gated([unpruned, pruned, int8], {}, FAST)}
    assert [label for label, f in found.items() if f.recommended] == ["unpruned", "fp32"]
    assert found["int8"].marks[0] == DID_NOT_PAY.text


def test_what_is_nowhere_better_and_somewhere_worse_than_its_neighbour_is_blocked() -> None:
    slow = file("openvino.fp32", ms=1.2)
    (mark,) = dominance_marks(slow, [FLOAT], FAST)
    assert mark == Mark("no better than fp32 in what is searched for, worse in latency", True)
    assert dominance_marks(FLOAT, [slow], FAST) == []


@pytest.mark.parametrize(
    ("ms", "told"), [(1.2, "worse in latency"), (1.0, "slightly worse in accuracy")]
)
def test_a_share_that_few_images_tell_apart_is_not_called_worse(ms: float, told: str) -> None:
    """Another file's 89.5 % of 400 images may be the better one on test."""
    (mark,) = dominance_marks(file("other", ms=ms, accuracy=0.895), [FLOAT], FAST)
    assert mark == Mark(f"no better than fp32 in what is searched for, {told}", True)


def test_a_latency_within_its_interval_is_no_worse() -> None:
    near = file("openvino.fp32", ms=1.2, doubt=0.2)
    assert dominance_marks(near, [FLOAT], FAST) == []


def test_one_image_more_keeps_a_file_that_is_slower() -> None:
    assert dominance_marks(file("other", ms=2.0, accuracy=0.9025), [FLOAT], FAST) == []


def test_what_something_else_speaks_against_dominates_nothing() -> None:
    fast = file("int8", ms=0.5, agreement=0.5, before="fp32")
    found = {f.label: f.recommended for f in gated([FLOAT, fast], {}, FAST)}
    assert found == {"fp32": True, "int8": False}


def test_what_was_not_verified_or_misses_a_budget_is_not_recommended() -> None:
    marks = [*budget_marks({"latency_ms": 0.25}), Mark("not verified: gone", True)]
    (found,) = gated([FLOAT], {"fp32": marks}, FAST)
    assert not found.recommended
    assert found.marks == ("latency_ms misses its budget by 0.25", "not verified: gone")
    assert budget_marks({}) == []


def test_nan_is_never_better() -> None:
    assert step_marks(file("int8", accuracy=math.nan), FLOAT, FAST)[0] == DID_NOT_PAY


def test_a_file_for_another_device_is_no_substitute_and_no_measure() -> None:
    """Much smaller and as accurate, but for a device that cannot run it in its place."""
    aims = replace(SMALL, axes=[ACCURACY, LATENCY, SIZE])
    there = replace(file("there.fp32", size=10.0), latencies={"there": latency(1.0)})
    there = replace(there, values={"accuracy": 0.9, "size_bytes": 10.0})
    assert dominance_marks(FLOAT, [there], aims) == []
    assert dominance_marks(there, [file("fp32", size=1.0)], aims) == []
    assert dominance_marks(FLOAT, [file("better", size=10.0)], aims) != []
