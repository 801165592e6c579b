"""What is left is of the whole job, and follows what its steps take."""

from __future__ import annotations

import pytest

from orchestrator.plan.left import Left, Portion

STAGES = [
    Portion("teacher", 1, (100.0, 100.0, 100.0)),
    Portion("search", 10, (50.0, 100.0, 200.0)),
    Portion("finalists", 2, (50.0, 100.0, 200.0)),
]


def middle(left: Left) -> float:
    assert left.amount is not None
    return left.amount[1]


def test_teacher_and_finalists_are_counted_from_the_first_moment() -> None:
    left = Left(STAGES)
    left.phase("teacher", 1, 0.0)
    left.step(0, 0.0)
    assert middle(left) == pytest.approx(300, rel=0.01)


def test_finalists_are_left_when_the_search_is_done() -> None:
    left = Left(STAGES)
    left.phase("search", 10, 0.0)
    left.step(0, 0.0)
    left.step(10, 100.0)
    assert middle(left) == pytest.approx(100, rel=0.01)


def test_what_took_twice_as_long_makes_all_that_follows_longer() -> None:
    left = Left(STAGES)
    left.phase("search", 10, 0.0)
    left.step(0, 0.0)
    left.step(5, 100.0)
    assert 180 < middle(left) < 300  # 100 more of the search, and finalists of up to 200


def test_a_job_that_goes_on_counts_only_what_it_did_itself() -> None:
    left = Left(STAGES)
    left.phase("search", 10, 0.0)
    left.step(6, 0.0)
    left.step(8, 20.0)
    assert middle(left) == pytest.approx(20 + 100, rel=0.05)


def test_the_interval_is_the_forecasts_and_narrows() -> None:
    left = Left(STAGES)
    left.phase("search", 10, 0.0)
    left.step(0, 0.0)
    widths = []
    for done in (0, 5, 10):
        left.step(done, 10.0 * done)
        low, mean, high = left.amount or (0.0, 0.0, 0.0)
        assert low < mean < high
        widths.append((high - low) / mean)
    assert widths == sorted(widths, reverse=True)


def test_a_stage_that_no_forecast_knows_is_told_by_its_own_steps() -> None:
    left = Left([])
    assert left.amount is None
    left.phase("starting weights", 4, 0.0)
    left.step(0, 0.0)
    assert left.amount is None
    left.step(1, 5.0)
    assert middle(left) == pytest.approx(15)


def test_a_job_that_goes_on_knows_what_was_learnt_before() -> None:
    before = Left(STAGES)
    before.phase("search", 10, 0.0)
    before.step(0, 0.0)
    before.step(5, 150.0)  # three times as long as expected
    after = Left(STAGES, before.learnt)
    after.phase("search", 10, 0.0)
    after.step(5, 0.0)
    assert middle(after) == pytest.approx(middle(before), rel=0.2)
    assert middle(after) > 1.5 * (50 + 100)


def test_a_stage_of_which_nothing_was_expected_is_told_by_its_own_steps() -> None:
    left = Left([Portion("search", 10, (0.0, 0.0, 0.0))])
    left.phase("search", 10, 0.0)
    left.step(0, 0.0)
    left.step(5, 10.0)
    assert middle(left) == pytest.approx(10)
