"""What a search takes is kept in its folder, and whoever goes on with it knows it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import RunError
from orchestrator.measuring.costs import Cost
from orchestrator.plan.forecast import Forecast, Stage
from orchestrator.study.spending import Spending, left_of, told_left

STAGES = [
    Stage("search", 10, (5, 10, 20), (50, 100, 200), (1e5, 2e5, 4e5)),
    Stage("finalists", 2, (5, 10, 20), (50, 100, 200), (1e5, 2e5, 4e5)),
]
FORECAST = Forecast(STAGES, (100, 200, 400), (1e9, 2e9, 3e9), (2e5, 4e5, 8e5))


def search(folder: Path, paid: int = 0, finalists: int = 0) -> Any:
    budget = SimpleNamespace(candidates=10, finalists=2)
    return SimpleNamespace(
        folder=folder,
        plan=SimpleNamespace(forecast=FORECAST),
        config=SimpleNamespace(budget=budget),
        ledger=SimpleNamespace(paid=paid),
        finalists=[None] * finalists,
    )


def half_done(folder: Path) -> Spending:
    """Tasks took ten times the CPU that was forecast."""
    spending = Spending(search(folder), concurrent=2)
    spending.enter("search", 10)
    for _ in range(5):
        spending.heard(Cost(100.0, 4e8))
    spending.step(5)
    spending.write()
    return spending


def test_what_tasks_took_is_taken(tmp_path: Path) -> None:
    taken = half_done(tmp_path).taken
    assert 500 <= taken.cpu_seconds < 502 and taken.tasks == 5
    assert 8e8 < taken.memory_bytes < 8e8 + 8e9  # of two workers, and of this process


def test_a_task_without_an_answer_says_nothing_of_memory(tmp_path: Path) -> None:
    spending = Spending(search(tmp_path), concurrent=2)
    spending.heard(Cost())
    assert spending.taken.tasks == 0 and spending.taken.memory_bytes == 0


def test_the_folder_is_what_is_taken_of_disk(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.onnx").write_bytes(b"0" * 1000)
    assert Spending(search(tmp_path), 1).taken.disk_bytes == 1000


def test_a_search_that_goes_on_knows_what_it_took(tmp_path: Path) -> None:
    before = half_done(tmp_path).taken
    after = Spending(search(tmp_path), concurrent=2).taken
    assert after.cpu_seconds == pytest.approx(before.cpu_seconds, abs=2)
    assert after.tasks == 5 and after.seconds >= before.seconds - 1


def test_what_is_left_of_a_search_that_stopped_follows_what_it_took(tmp_path: Path) -> None:
    as_planned = left_of(search(tmp_path / "other", paid=5), 2)
    half_done(tmp_path)
    left = left_of(search(tmp_path, paid=5), 2)
    assert as_planned.cpu_seconds and left.cpu_seconds
    assert as_planned.cpu_seconds[1] == pytest.approx(50 + 100, rel=0.1)
    assert left.cpu_seconds[1] > 3 * as_planned.cpu_seconds[1]
    assert "of CPU" in told_left(left) and "more of disk" in told_left(left)


def test_of_finalists_those_are_left_that_are_not_there(tmp_path: Path) -> None:
    left = left_of(search(tmp_path, paid=10, finalists=1), 2)
    assert left.cpu_seconds and left.cpu_seconds[1] == pytest.approx(50, rel=0.1)


def test_of_a_finished_search_nothing_is_left(tmp_path: Path) -> None:
    assert told_left(left_of(search(tmp_path, paid=10, finalists=2), 2)) == "Nothing is left of it."


def test_a_file_that_cannot_be_written_costs_a_search_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken.json" / "in the way").mkdir(parents=True)
    assert half_done(tmp_path).close().tasks == 5


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken.json").write_text('{"format": 1, "taken": {}, "learnt": 3}')
    with pytest.raises(RunError, match=r"taken\.json is damaged"):
        Spending(search(tmp_path), 1)
