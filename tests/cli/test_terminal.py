"""Tables of the terminal: figures come with their units."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

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


def test_budgets_of_reported_objectives_have_their_unit() -> None:
    plan: Any = SimpleNamespace(
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
    objectives = plan_tables(check_config(CONFIG), plan)[-1]
    columns = [list(column.cells) for column in objectives.columns]
    rows = {cells[0]: cells for cells in zip(*columns, strict=True)}
    assert rows["accuracy"][1:4] == ("maximize", "share", "≥ 90.0 %")
    assert rows["latency"][1:4] == ("reported only", "ms", "≤ 20 ms")
    assert rows["size"][2:] == ("bytes", "≤ 5 MB", "100 kB … 2 MB")
    assert rows["gone"][2:4] == ("bytes", "≥ 1 kB")
