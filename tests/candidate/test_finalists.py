"""A finalist of several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory, genotype
from toys import toy_latencies

from orchestrator.candidate import finalists
from orchestrator.candidate.finalists import Elected, finish
from orchestrator.contracts import Axis, Training
from orchestrator.records import Finalist, Record

pytestmark = pytest.mark.usefixtures("toys")

AXES = [
    Axis("accuracy", "share", "maximize", reference=0.0, leads=True),
    Axis("latency_ms", "ms", "minimize", reference=100.0),
]
VALUES = {"accuracy": 0.5, "params": 1.0, "latency_ms": 1.0}
ELECTED = Elected(Record(0, genotype(), "feasible", VALUES), AXES)


@pytest.fixture(autouse=True)
def _no_verifying(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake device knows files by their path, and these were moved."""
    monkeypatch.setattr(finalists, "_verified", lambda *told: True)


def finished(folder: Path, seeds: int) -> Finalist:
    made = factory(folder, budget={"seeds": seeds}, train={"final_epochs": 2, "batch_size": 8})
    return finish(ELECTED, made, toy_latencies)


def test_the_best_of_several_seeds_on_validation_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []

    def train(network: Any, footing: Any, config: Any, run: Any) -> Training:
        trained.append((network, run.seed))
        return Training((0.0, [0.25, 0.75, 0.5][len(trained) - 1]))

    shipped: list[Any] = []
    monkeypatch.setattr(finalists, "train", train)
    monkeypatch.setattr(finalists, "_contents", _keeping(shipped))
    found = finished(tmp_path, 3)
    assert len({seed for _, seed in trained}) == 3
    assert shipped == [trained[1][0]]
    spread = {name: value for name, value in found.figures.items() if "seeds" in name}
    assert spread == {
        "seeds": 3,
        "seeds_mean_accuracy": 0.5,
        "seeds_lowest_accuracy": 0.25,
        "seeds_highest_accuracy": 0.75,
    }
    card = (tmp_path / found.folder / "card.md").read_text("utf-8")
    assert "| seeds_lowest_accuracy | 25.0 % |" in card


def _keeping(shipped: list[Any]) -> Any:
    written = finalists._contents

    def contents(genotype: Any, network: Any, *more: Any) -> Any:
        shipped.append(network)
        return written(genotype, network, *more)

    return contents


def test_one_seed_is_the_runs_own_and_tells_no_spread(tmp_path: Path) -> None:
    made = factory(tmp_path)
    assert made.with_seed(0) is made
    assert made.with_seed(1).config.run.seed != made.with_seed(2).config.run.seed
    assert not [name for name in finished(tmp_path, 1).figures if "seeds" in name]


@pytest.mark.parametrize("searched", [False, True])
def test_a_finalist_is_warm_where_it_goes_on_from_its_own_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searched: bool
) -> None:
    made, runs = factory(tmp_path, estimator={"name": "train"}), []

    def train(network: Any, footing: Any, config: Any, run: Any) -> Training:
        runs.append(run)
        return Training((0.5,))

    if searched:
        made.estimation().store.keep(made.build(genotype()), genotype())
    monkeypatch.setattr(finalists, "train", train)
    finish(ELECTED, made, toy_latencies)
    assert [run.warm for run in runs] == [searched]
