"""Estimators and tasks of third parties: short, on the public face alone, and equal to ours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from footings import context
from sharing_spaces import Staged
from their_task import Detected, Kind
from their_train import TheirTrain
from torch import nn

from orchestrator import Dataset, EstimationContext, Genotype, Subject
from orchestrator.config import TrainConfig
from orchestrator.estimators.train import TrainEstimator
from orchestrator.plugins import installed
from orchestrator.testing.estimator import check_estimator, estimation
from orchestrator.testing.objective import check_objective
from orchestrator.testing.task import check_task
from orchestrator.trials import RandomTrial

HERE = Path(__file__).parent
LINES = 60


@pytest.mark.parametrize("name", ["their_train", "their_task"])
def test_it_is_short_and_on_the_public_face_alone(name: str) -> None:
    source = (HERE / f"{name}.py").read_text()
    assert len(source.splitlines()) < LINES
    imported = {
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    ours = {module for module in imported if module.split(".")[0].startswith("orchestrator")}
    assert ours == {"orchestrator"}


@pytest.fixture
def train(small_digits: Dataset, tmp_path: Path) -> EstimationContext:
    return context(Staged(), small_digits, TrainConfig(epochs=2), tmp_path / "weights")


def test_their_estimator_fulfils_the_contract(small_digits: Dataset, tmp_path: Path) -> None:
    check_estimator(TheirTrain(), estimation(Staged(), small_digits, tmp_path, epochs=2))


def test_their_estimator_gives_the_curve_and_the_weights_of_ours(
    train: EstimationContext,
) -> None:
    genotype = Genotype("staged", "small", train.space.suggest(RandomTrial(1)))
    curves, weights = [], []
    for estimator in (TheirTrain(), TrainEstimator()):
        estimate = estimator.estimate(fresh(genotype, train), genotype, train)
        curves.append(estimate.curve)
        weights.append(estimator.initial_weights(genotype, train))
    assert curves[0] == curves[1]
    assert weights[0] is not None and weights[1] is not None
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def fresh(genotype: Genotype, train: EstimationContext) -> nn.Module:
    torch.manual_seed(0)
    return train.task.build(train.space, genotype.architecture, {}, train.facts)


def test_their_task_fulfils_the_contract(small_digits: Dataset) -> None:
    check_task(Kind(), small_digits, installed().create("space", "mobilenetv2", {}))


def test_their_task_is_what_an_estimator_trains_for(small_digits: Dataset, tmp_path: Path) -> None:
    space = Staged()
    theirs = estimation(space, small_digits, tmp_path, task=Kind(), epochs=3)
    genotype = Genotype("staged", "small", space.suggest(RandomTrial(1)), task="kind")
    estimate = TrainEstimator().estimate(fresh(genotype, theirs), genotype, theirs)
    assert estimate.curve[-1] > 0.9
    assert theirs.judge(estimate.network) == estimate.curve[-1]


def test_their_metric_is_an_objective() -> None:
    plain = Genotype("made", "small", {})
    subject = Subject(plain, nn.Linear(1, 1), (1, 8, 8), metrics={"detected": 0.5})
    check_objective(Detected(), subject)
