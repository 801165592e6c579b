"""How far a latency is known."""

from __future__ import annotations

from dataclasses import replace

from orchestrator import Latency
from orchestrator.contracts.device import compared
from orchestrator.measuring.agent import Timing, interleave

REFERENCE = Timing(1.0, 1.0, 1.0, 60, [1.0, 1.1, 1.0, 1.0, 1.0, 1.0])


def timed(*parts: float) -> Latency:
    """Of a file whose rounds had these minima in parts, on a device of 2 ms."""
    (latency,) = compared([REFERENCE, Timing(min(parts), 3.0, 4.0, 60, parts)], reference_ms=2.0)
    return latency


def test_the_interval_holds_the_figure_and_every_parts_ratio() -> None:
    latency = timed(0.5, 0.66, 0.52, 0.5, 0.5, 0.5)
    assert latency.ms == 1.0
    assert latency.interval_ms == (1.0, 2 * 0.66 / 1.1)


def test_rounds_are_split_into_six_runs_whose_least_is_the_minimum() -> None:
    (timing,) = interleave([lambda: None], rounds=60, warmups=0)
    assert len(timing.parts_ms) == 6
    assert min(timing.parts_ms) == timing.low_ms


def test_fewer_rounds_than_six_are_parts_of_their_own() -> None:
    (timing,) = interleave([lambda: None], rounds=2, warmups=0)
    assert len(timing.parts_ms) == 2


def test_latencies_overlap_where_neither_is_surely_faster() -> None:
    slow, near = timed(1.0, 1.2, 1, 1, 1, 1), timed(1.05, 1.3, 1.1, 1.1, 1.1, 1.1)
    fast = timed(*[0.5] * 6)
    assert slow.overlaps(near) and near.overlaps(slow)
    assert not slow.overlaps(fast)


def test_without_an_interval_nothing_can_be_told_apart() -> None:
    unknown = replace(timed(*[1.0] * 6), low_ratio=None)
    assert unknown.interval_ms is None
    assert unknown.overlaps(timed(*[0.1] * 6))
