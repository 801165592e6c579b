"""What a search costs is told with its interval, each part by what drives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory

from orchestrator.plan.forecast import Forecast, Timed, Work, forecast, measuring
from orchestrator.plan.share import Within, within_budgets

pytestmark = pytest.mark.usefixtures("toys")

SEEN = Timed((1.0, 2.0, 4.0), (1e5, 1e6, 1e7), 5.0, 0.5, 1.0, (1e8, 2e8))


def told(folder: Path, work: Work | None = None, **groups: Any) -> Forecast:
    budget = {"candidates": 10, "finalists": 4, **groups.pop("budget", {})}
    made = factory(folder, budget=budget, **groups)
    return forecast(made, SEEN, work or Work(1, False), files=1)


def stage(found: Forecast, name: str) -> float:
    return next(each.seconds[1] for each in found.stages if each.name == name)


def test_every_stage_of_the_job_is_in_the_forecast(tmp_path: Path) -> None:
    names = [each.name for each in told(tmp_path, Work(1, True)).stages]
    assert names == ["start", "teacher", "search", "finalists"]


def test_the_interval_is_from_small_networks_to_large_ones(tmp_path: Path) -> None:
    low, middle, high = told(tmp_path).seconds
    assert low < middle < high


def test_a_limit_of_minutes_ends_the_search_and_not_the_finalists(tmp_path: Path) -> None:
    limited = told(tmp_path, budget={"minutes": 0.1})
    assert stage(limited, "search") == pytest.approx(6)
    assert stage(limited, "finalists") == stage(told(tmp_path), "finalists") > 0


def test_no_more_finalists_are_told_than_there_are_candidates(tmp_path: Path) -> None:
    two, many = (told(tmp_path, budget={"candidates": 2, "finalists": n}) for n in (2, 50))
    assert stage(many, "finalists") == stage(two, "finalists") > 0


def test_finalists_go_in_rounds(tmp_path: Path) -> None:
    one, three = (stage(told(tmp_path, Work(n, False)), "finalists") for n in (1, 3))
    assert three == pytest.approx(one / 2)


def test_every_seed_of_a_finalist_is_forecast(tmp_path: Path) -> None:
    train = {"epochs": 2, "final_epochs": 1000}  # beside which what files cost is little
    one, three = (
        stage(told(tmp_path, train=train, budget={"seeds": n}), "finalists") for n in (1, 3)
    )
    assert three == pytest.approx(3 * one, rel=0.01)


def test_three_teachers_of_finalists_cost_as_much_as_their_training(tmp_path: Path) -> None:
    train = {"epochs": 2, "final_epochs": 1000}  # beside which what files cost is little
    none, three = (
        stage(told(tmp_path, train={**train, "check_teachers": n}), "finalists") for n in (0, 3)
    )
    assert three == pytest.approx(2 * none, rel=0.01)


def test_candidates_that_see_few_images_cost_these_and_all_of_validation(tmp_path: Path) -> None:
    made = factory(tmp_path, train={"epochs": 1000}, budget={"candidates": 10})
    train, validation = (len(made.footing.feed(split)) for split in ("train", "validation"))
    whole = stage(forecast(made, SEEN, Work(1, False), files=1), "search")
    made.assembly.estimator.most_images = 4
    few = stage(forecast(made, SEEN, Work(1, False), files=1), "search")
    assert few == pytest.approx(whole * (4 + validation / 3) / train, rel=0.01)


def test_candidates_that_nobody_trains_leave_no_weights_on_disk(tmp_path: Path) -> None:
    trained = told(tmp_path).disk_bytes[1]
    looked_up = told(tmp_path, estimator={"name": "proxy", "proxy": "params"}).disk_bytes[1]
    assert trained - looked_up == pytest.approx(10 * 4e6)


def test_measuring_is_told_as_a_share_of_training_where_there_is_any(tmp_path: Path) -> None:
    epochs = 2  # of the toys' recipe, of 2 seconds each; a file takes half a one
    assert measuring(factory(tmp_path), SEEN) == pytest.approx(0.5 / (2.0 * epochs))
    looked_up = factory(tmp_path, estimator={"name": "proxy", "proxy": "params"})
    assert measuring(looked_up, SEEN) is None


def test_shortlists_are_in_the_forecast_where_they_are_asked_for(tmp_path: Path) -> None:
    latency = {"latency_ms": {"name": "latency_ms", "role": "objective"}}
    without, with_four = (
        told(tmp_path, sampler={"name": "guided", "measured": n}, objective=latency).stages[1]
        for n in (0, 4)
    )
    # Of half of ten proposals, and at most of all; a file takes half a second.
    assert with_four.seconds[1] - without.seconds[1] == pytest.approx(5 * 4 * 0.5)
    assert with_four.seconds[2] - without.seconds[2] == pytest.approx(10 * 4 * 0.5)
    assert with_four.seconds[0] == without.seconds[0]


def test_stages_come_to_the_whole_of_cpu_and_disk(tmp_path: Path) -> None:
    found = told(tmp_path, Work(2, True))
    assert sum(each.cpu_seconds[1] for each in found.stages) == found.cpu_seconds[1]
    assert sum(each.disk_bytes[2] for each in found.stages) == found.disk_bytes[2]


def test_a_forecast_of_before_has_no_cpu_by_stage(tmp_path: Path) -> None:
    old = told(tmp_path).to_json()
    for each in old["stages"]:
        del each["cpu_seconds"], each["disk_bytes"]
    assert Forecast.from_json(old).stages[1].cpu_seconds == (0.0, 0.0, 0.0)


def test_more_at_once_takes_more_memory_and_no_more_work(tmp_path: Path) -> None:
    one, four = (told(tmp_path, Work(n, False)) for n in (1, 4))
    assert four.memory_bytes[2] > 2 * one.memory_bytes[2]
    assert stage(four, "search") == pytest.approx(stage(one, "search") / 4)


def test_a_forecast_survives_its_file(tmp_path: Path) -> None:
    found = told(tmp_path)
    assert Forecast.from_json(found.to_json()) == found


def test_the_share_within_the_budgets_has_an_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of the toys' 16 networks has as few.
    monkeypatch.setattr("orchestrator.plan.share._NETWORKS", 100)
    made = factory(tmp_path, objective={"params": {"name": "params", "max": 69}})
    found = within_budgets(made)
    assert found is not None and found.names == ["params"]
    low, high = found.interval
    assert low < found.kept / found.drawn < high < 1
    assert "uncompressed" in found.sentence


def test_without_a_static_budget_there_is_no_share(tmp_path: Path) -> None:
    assert within_budgets(factory(tmp_path)) is None


def test_the_interval_is_wilsons() -> None:
    assert Within(5, 10, ["macs"]).interval == pytest.approx((0.237, 0.763), abs=1e-3)
