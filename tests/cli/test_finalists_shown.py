"""Finalists in the terminal: all of a path on one line, however narrow it is."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from orchestrator.cli.finalists import show_figures, show_finalists
from orchestrator.cli.terminal import Terminal
from orchestrator.plan.learning import Remaining
from orchestrator.records import Finalist, Latency, ShippedFile

NAME = "0019-0123456789ab"
TIMED = Latency(0.4, 0.5, 0.41, 0.45, 0.9, 60, low_ratio=0.49, high_ratio=0.52)


def finalist(number: int, validated: float, reached: float) -> Finalist:
    file = ShippedFile(
        "int8",
        "onnxruntime",
        f"models/{NAME}-{number}/model.int8.onnx",
        "onnx",
        4321,
        steps=("pruning", "quantization"),
        latencies={"here": TIMED},
        recommended=True,
        picks=("most accurate",),
        rivals={"most accurate": ("#3 fp32",)},
        reached=reached,
    )
    figures = {"test_accuracy": reached, "validation_accuracy": validated, "test_images": 400}
    return Finalist(f"{NAME}-{number}", number, figures=figures, files=(file,), label="int8")


def shown(width: int, *finalists: Finalist) -> str:
    out = Console(file=io.StringIO(), width=width)
    study: Any = SimpleNamespace(finalists=finalists, leading="accuracy", folder=Path("/r" * 50))
    show_finalists(study, out)
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [80, 300])
def test_paths_stay_whole_and_figures_have_intervals(width: int) -> None:
    told = shown(width, finalist(1, 0.9, 0.95))
    path = f"{Path('/r' * 50)}/models/{NAME}-1/model.int8.onnx"
    assert f"most accurate: {path}\n" in told
    assert "95.0 % (92.4 to 96.7)" in told and "0.4 ms (0.392 to 0.416)" in told
    assert "most accurate (not distinguishable from #3 fp32)" in told.replace("\n", "")


def test_no_figure_is_broken_at_80_columns() -> None:
    out = Console(file=io.StringIO(), width=80)
    row = {f"objective{number}": "95.0 % (92.4 to 96.7)" for number in range(5)}
    show_figures([{"candidate": NAME, **row}], out)
    lines = [*out.file.getvalue().splitlines(), *shown(80, finalist(1, 0.9, 0.95)).splitlines()]  # type: ignore[attr-defined]
    assert max(len(line) for line in lines if "/r" not in line) <= 80
    assert sum(line.count("95.0 % (92.4 to 96.7)") for line in lines) == 6


@pytest.mark.parametrize("width", [80, 160])
def test_no_finalists_are_no_table(width: int) -> None:
    assert shown(width) == ""


def test_the_best_on_validation_comes_first_whatever_test_says() -> None:
    told = shown(80, finalist(1, 0.90, 0.99), finalist(2, 0.95, 0.91))
    assert told.index(f"{NAME}-2") < told.index(f"{NAME}-1")


def test_a_figure_that_one_row_has_alone_stands_under_its_own_head() -> None:
    out = Console(file=io.StringIO(), width=200)
    show_figures([{"file": "fp32", "latency_ms": "1"}, {"file": "b", "latency_ms@b": "2"}], out)
    heads, first, second = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert heads.index("latency_ms@b") == second.index("2")
    assert first.index("1") == heads.index("latency_ms")


def test_figures_are_a_table_only_where_it_is_wide() -> None:
    told = {}
    for width in (80, 200):
        out = Console(file=io.StringIO(), width=width)
        show_figures([{"candidate": NAME, "accuracy": "95 %", "picks": "–"}], out)
        told[width] = out.file.getvalue()  # type: ignore[attr-defined]
    assert told[80] == f"{NAME}\n  accuracy 95 %\n"
    assert "candidate" in told[200] and f"{NAME}" in told[200]


def test_at_80_columns_the_live_line_has_how_far_the_best_and_the_time() -> None:
    terminal = Terminal()
    terminal._live = Console(file=io.StringIO(), width=80, force_terminal=True)
    ledger = SimpleNamespace(
        counts={"feasible": 9, "rejected": 17}, trainings=9, front_size=4, hypervolume=0.5
    )
    ledger.best = {"accuracy": 0.953}
    axis = SimpleNamespace(name="accuracy", unit="share", direction="maximize", leads=True)
    left = Remaining((5.0, 9.0, 14.0), (20.0, 30.0, 40.0), (1e6, 2e6, 3e6), (1e9, 2e9, 3e9))
    study: Any = SimpleNamespace(ledger=ledger, axes=[axis], records=[1] * 9, remaining=left)
    terminal.phase("search", 26)
    terminal.step(study, 8)
    terminal.step(study, 9)
    terminal.close()
    last = terminal._live.file.getvalue().rsplit("search", 1)[-1]  # type: ignore[attr-defined]
    assert "9/26" in last and "best 95.3 %" in last and "left 0:0" in last
    assert "hypervolume" not in last and "…" not in last


def test_with_room_the_live_line_has_all_that_is_left() -> None:
    terminal = Terminal()
    terminal._live = Console(file=io.StringIO(), width=200)
    left = Remaining((5.0, 9.0, 14.0), (20.0, 30.0, 40.0), (1e6, 2e6, 3e6), (1e9, 2e9, 3e9))
    study: Any = SimpleNamespace(remaining=left)
    terminal.phase("finalists", 2)
    terminal.step(study, 2)
    told = terminal._live.file.getvalue()  # type: ignore[attr-defined]
    assert "left 0:09 (0:05 to 0:14)  CPU 0:30  disk 2 MB  memory 2 GB" in told
