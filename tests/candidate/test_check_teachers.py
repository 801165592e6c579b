"""Finalists that learn from what an estimator's checks trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from toy_factory import factory, genotype
from toys import toy_latencies

from orchestrator.bundle import read_facts
from orchestrator.candidate import finalists
from orchestrator.candidate.evaluation import evaluate
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.finalists import Elected, finish
from orchestrator.candidate.taught import finalists_loss, inherit
from orchestrator.contracts import Axis
from orchestrator.errors import TrainingError
from orchestrator.records import Genotype, Record

pytestmark = pytest.mark.usefixtures("toys")

IMAGES = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = functional.one_hot(torch.tensor([0, 1, 1, 0, 1]), 2).float()
LOGITS = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def made(tmp_path: Path) -> Factory:
    """A search that trained two networks."""
    made = factory(tmp_path, estimator={"name": "train"})
    for number, each in enumerate(trained()):
        evaluate((number, each), (), made, toy_latencies)
    return made


def trained() -> list[Genotype]:
    return [genotype(width=3), genotype(width=4)]


def probabilities(each: Genotype, made: Factory) -> Tensor:
    network = made.started(each)
    assert inherit(network, each, made)
    found: Tensor = network.eval()(IMAGES).softmax(1)
    return found


def test_half_of_the_loss_is_what_they_answer_in_the_mean(made: Factory) -> None:
    loss = finalists_loss(genotype(width=2), trained(), made)
    assert loss is not None
    mean = torch.stack([probabilities(each, made) for each in trained()]).mean(0)
    soft = (mean.log() / 2).softmax(1)
    taught = 4 * functional.cross_entropy(LOGITS / 2, soft)
    labels = made.footing.task.loss(LOGITS, LABELS)
    torch.testing.assert_close(loss(IMAGES, LOGITS, LABELS), (labels + taught) / 2)


def test_without_them_a_finalist_learns_as_its_candidate_did(made: Factory) -> None:
    assert finalists_loss(genotype(), (), made) is None


def test_one_whose_weights_are_gone_is_named(made: Factory) -> None:
    shutil.rmtree(made.folder / "weights")
    with pytest.raises(TrainingError, match=rf"{trained()[0].plain().key} are gone"):
        finalists_loss(genotype(), trained(), made)


def test_a_finalist_s_folder_tells_who_taught_it(
    made: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fake device knows files by their path, and these were moved.
    monkeypatch.setattr(finalists, "_verified", lambda *told: True)
    values = {"accuracy": 0.5, "params": 1.0, "latency_ms": 1.0}
    record = Record(0, genotype(width=3), "feasible", values)
    axes = [Axis("accuracy", "share", "maximize", reference=0.0, leads=True)]
    found = finish(Elected(record, axes, teachers=trained()), made, toy_latencies)
    facts = read_facts(made.folder / found.folder)
    assert facts["taught_by"] == [each.key for each in trained()]
    assert "## Teachers" in (made.folder / found.folder / "card.md").read_text("utf-8")
