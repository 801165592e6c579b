"""What is left of CPU, memory and disk follows what was taken, as time does."""

from __future__ import annotations

import pytest

from orchestrator.plan.forecast import Forecast, Stage
from orchestrator.plan.learning import Learning, Range, Taken

FORECAST = Forecast(
    [
        Stage("search", 10, (50, 100, 200), (100, 200, 400), (1e6, 2e6, 4e6)),
        Stage("finalists", 2, (50, 100, 200), (100, 200, 400), (1e6, 2e6, 4e6)),
    ],
    cpu_seconds=(200, 400, 800),
    memory_bytes=(1e9, 2e9, 3e9),
    disk_bytes=(2e6, 4e6, 8e6),
)


def halfway(taken: Taken) -> Learning:
    learning = Learning(FORECAST)
    learning.phase("search", 10, Taken())
    learning.step(0, Taken())
    learning.step(5, taken)
    return learning


def width(each: Range | None) -> float:
    assert each is not None
    return (each[2] - each[0]) / each[1]


def test_what_takes_more_than_was_forecast_leaves_more_of_each() -> None:
    as_told = halfway(Taken(50, 100, 1e6)).remaining
    thrice = halfway(Taken(150, 300, 3e6)).remaining
    for name, forecast in (("seconds", 150), ("cpu_seconds", 300), ("disk_bytes", 3e6)):
        assert getattr(as_told, name)[1] == pytest.approx(forecast, rel=0.01)
        assert getattr(thrice, name)[1] > 1.8 * getattr(as_told, name)[1]


def test_each_is_corrected_by_itself() -> None:
    left = halfway(Taken(50, 300, 0.2e6)).remaining
    assert left.seconds is not None and left.seconds[1] == pytest.approx(150, rel=0.01)
    assert left.cpu_seconds is not None and left.cpu_seconds[1] > 500
    assert left.disk_bytes is not None and left.disk_bytes[1] < 1.9e6


def test_memory_goes_from_the_forecast_to_what_was_seen() -> None:
    few, many = (halfway(Taken(memory_bytes=0.5e9, tasks=n)).remaining for n in (1, 50))
    assert few.memory_bytes and many.memory_bytes
    assert 1e9 < few.memory_bytes[1] < 2e9
    assert many.memory_bytes[1] == pytest.approx(0.5e9, rel=0.2)
    assert width(many.memory_bytes) < width(few.memory_bytes)


def test_who_goes_on_knows_what_was_learnt() -> None:
    before = halfway(Taken(150, 300, 3e6))
    after = Learning(FORECAST, before.learnt)
    after.phase("search", 10, Taken(150, 300, 3e6))
    after.step(5, Taken(150, 300, 3e6))
    assert before.remaining.cpu_seconds and after.remaining.cpu_seconds
    assert after.remaining.cpu_seconds[1] == pytest.approx(before.remaining.cpu_seconds[1], rel=0.2)


def test_without_a_forecast_it_goes_by_what_the_stage_takes() -> None:
    learning = Learning(None)
    learning.phase("search", 10, Taken())
    learning.step(0, Taken())
    learning.step(5, Taken(10, 20, 1e6))
    left = learning.remaining
    assert left.cpu_seconds == pytest.approx((20, 20, 20)) and left.memory_bytes is None
