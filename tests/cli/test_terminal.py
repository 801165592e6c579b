"""Tables of the terminal: figures come with their units."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator import Axis
from orchestrator.cli.terminal import plan_tables
from orchestrator.config import check_config

CONFIG = {
    "space": {"name": "mobilenetv3"},
    "dataset": {"name": "digits"},
    "device": {"name": "onnxruntime"},
    "estimator": {"name": "train"},
    "sampler": {"name": "tpe"},
    "objective": {
        "accuracy": {"name": "accuracy", "min": 0.9},
        "latency_ms": {"name": "latency_ms", "role": "reported", "max": 20},
        "size_bytes": {"name": "size_bytes", "role": "reported", "max": 5e6},
        "gone_bytes": {"name": "of_a_plugin_that_is_gone", "role": "reported", "min": 1e3},
    },
}


def made_plan() -> Any:
    return SimpleNamespace(
        axes=[Axis("accuracy", "share", "maximize", 0.0)],
        ranges={"size_bytes": (1e5, 2e6)},
        seeds=[],
        compression="",
        space_size=10,
        fingerprints={},
        start=None,
        unchanged={},
        variants="",
        data=None,
        within=None,
    )


def cells_of(table: Any) -> list[list[str]]:
    return [list(column.cells) for column in table.columns]


@pytest.mark.parametrize(
    ("asked", "history", "told"), [(2, [], 2), (50, [], 3), (50, ["runs/first"], 50)]
)
def test_no_more_finalists_are_told_than_there_can_be(
    asked: int, history: list[str], told: int
) -> None:
    changed = {
        "budget": {"candidates": 3, "finalists": asked},
        "sampler": {"name": "guided", "history": history},
    }
    facts = plan_tables(check_config({**CONFIG, **changed}), made_plan())[0]
    said = next(text for text in cells_of(facts)[1] if text.startswith("guided"))
    assert said == f"guided, 3 candidates, then at most {told} finalists"


def test_budgets_of_reported_objectives_have_their_unit() -> None:
    objectives = plan_tables(check_config(CONFIG), made_plan())[-1]
    rows = {cells[0]: cells for cells in zip(*cells_of(objectives), strict=True)}
    assert rows["accuracy"][1:4] == ("maximize", "share", "≥ 90.0 %")
    assert rows["latency"][1:4] == ("reported only", "ms", "≤ 20 ms")
    assert rows["size"][2:] == ("bytes", "≤ 5 MB", "100 kB … 2 MB")
    assert rows["gone"][2:4] == ("bytes", "≥ 1 kB")
