from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from orchestrator.config import BudgetConfig
from orchestrator.contracts import Axis, Training
from orchestrator.estimators.ladder import Ladder
from orchestrator.estimators.rung import RungTraining, drop_checkpoints
from orchestrator.records import Genotype, Record
from orchestrator.search.rungs import Rungs

AXES = [
    Axis("accuracy", "share", "maximize", 0.0, leads=True),
    Axis("macs", "", "minimize", 10.0),
]
LADDER = Ladder((2, 10), 0.4)


def paused(number: int, reached: float, macs: float, epochs: int = 2) -> Record:
    genotype = Genotype("toy", "small", {"widths": [number]})
    return Record(number, genotype, "stopped", {"macs": macs}, curve=(reached,) * epochs)


def test_shares_become_epochs_and_the_last_is_the_whole_training() -> None:
    assert Ladder.of(BudgetConfig(rungs=(0.2, 0.01), kept=0.5), 10).epochs == (1, 2, 10)
    assert Ladder.of(BudgetConfig(rungs=(0.2,)), 2).epochs == (1, 2)
    assert Ladder.of(BudgetConfig(), 10).share == 1.0
    assert Ladder((2, 10), 0.5).share == pytest.approx(0.2 + 0.5 * 0.8)


def test_what_is_behind_stops_and_what_is_not_goes_on() -> None:
    rungs = Rungs(LADDER, AXES, [], {})
    assert rungs.judge(paused(0, 0.5, 5.0)) is None
    behind = rungs.judge(paused(1, 0.4, 6.0))
    assert behind is not None and behind.outcome == "stopped"
    assert behind.reason == "after 2 epochs behind 1 of the 2 that were trained so far"
    # Of three that nobody dominates, two go on: those that add most.
    assert rungs.judge(paused(2, 0.9, 7.0)) is None
    assert rungs.judge(paused(3, 0.49, 4.99)) is not None


def test_who_goes_on_is_told_how_far_and_ends_whole() -> None:
    rungs = Rungs(LADDER, AXES, [], {})
    assert rungs.payload(0) == {"until": 2, "curve": []}
    assert rungs.judge(paused(0, 0.5, 5.0)) is None
    assert rungs.payload(0) == {"until": 10, "curve": [0.5, 0.5]}
    whole = Record(0, Genotype("toy", "small", {}), "feasible", {}, curve=(0.5,) * 10)
    assert rungs.judge(whole) == whole


def test_a_rival_that_ends_it_between_rungs_ends_it() -> None:
    record = paused(0, 0.5, 5.0, epochs=5)
    assert Rungs(LADDER, AXES, [], {}).judge(record) == record


def test_all_follows_from_what_is_written() -> None:
    known = [paused(0, 0.9, 1.0, epochs=10), paused(1, 0.8, 2.0), paused(2, 0.7, 3.0)]
    rungs = Rungs(LADDER, AXES, known[:2], {2: known[2]})
    assert rungs.payload(2)["until"] == 10
    told = rungs.judge(paused(3, 0.6, 4.0))
    assert told is not None and told.reason.startswith("after 2 epochs behind 3 of the 4")


class Trainer:
    """Adds one to each weight an epoch."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, bool, int]] = []

    def __call__(self, network: Any, *, epochs: int, seed: int, warm: bool, **more: Any) -> Any:
        self.asked.append((epochs, seed, warm, more["images"]))
        with torch.no_grad():
            network.weight += epochs
        return Training((0.1,) * epochs)


def test_a_leg_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from orchestrator.training.weights import WeightFolder

    trainer, genotype = Trainer(), Genotype("toy", "small", {})
    context: Any = SimpleNamespace(
        trainer=trainer,
        weights=tmp_path,
        seed=3,
        loss=None,
        on_epoch=None,
        store=WeightFolder(tmp_path),
        train=SimpleNamespace(epochs=10),
    )
    first = RungTraining((), 2, 50).estimate(nn.Linear(1, 1, bias=False), genotype, context)
    assert first.stopped and len(first.curve) == 2
    fresh = nn.Linear(1, 1, bias=False)
    last = RungTraining(first.curve, 10, 50).estimate(fresh, genotype, context)
    assert not last.stopped and len(last.curve) == 10
    assert fresh.weight.item() == pytest.approx(first.network.weight.item() + 8)  # type: ignore[operator]
    assert trainer.asked == [(2, 3, False, 50), (8, 5, True, 50)]
    assert [path.name for path in tmp_path.rglob("*.safetensors")] != []
    drop_checkpoints(tmp_path, genotype)
    assert list((tmp_path / "rungs").rglob("*.safetensors")) == []
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
