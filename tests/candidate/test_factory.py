"""What compressors and objectives are given by a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from toy_factory import factory, genotype
from toys import toy_latencies

from orchestrator import (
    ArtifactCompressor,
    CompressionContext,
    NetworkCompressor,
    Objective,
    TrainingCompressor,
)
from orchestrator.candidate.compression import Compression
from orchestrator.candidate.evaluation import evaluate
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.records import Step

pytestmark = pytest.mark.usefixtures("toys")


def test_two_architectures_of_one_network_are_the_same_and_compressed_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, one = factory(tmp_path), genotype(4)
    monkeypatch.setattr(type(made.assembly.space), "distinct", False)
    other = replace(one, architecture={**one.architecture, "colour": "red"})
    assert other.key != one.key
    assert made.same(other) == made.same(one)
    assert made.same(genotype(3)) != made.same(one)
    pruned = replace(other, compression=(Step("halving", {"halve": True}),))
    assert made.same(pruned) != made.same(one)


class Doubling(TrainingCompressor):
    """Twice the loss before, and one."""

    name = "doubling"

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {}

    def loss(self, choices: Any, context: CompressionContext) -> Any:
        return lambda *batch: 2 * context.loss(*batch) + 1


class Learning(NetworkCompressor):
    """Learns a range, and keeps every context it got."""

    name = "learning"
    seen: ClassVar[list[CompressionContext]] = []
    calibration_images = 20

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {}

    def compress(self, network: Any, choices: Any, context: CompressionContext) -> Any:
        context.ranges["first"] = [-1.0, 1.0]
        self.seen.append(context)
        return network


class Writing(ArtifactCompressor):
    """Writes what was learnt; judges what it was given."""

    name = "writing"
    seen: ClassVar[list[Any]] = []

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {}

    def transform(self, artifact: Any, choices: Any, context: CompressionContext) -> Any:
        judged = context.judge(artifact) if context.judge else None
        self.seen.append((dict(context.ranges), context.preview, judged))
        return artifact


ON = {"on": True}


def equipped(folder: Path, **compressors: Any) -> Factory:
    made = factory(folder)
    compression = Compression(compressors, made.assembly.device.formats)
    object.__setattr__(made.assembly, "compression", compression)
    return made


def test_losses_wrap_one_another_in_order(tmp_path: Path) -> None:
    made = equipped(tmp_path, a=Doubling(), b=Doubling())
    images, logits = torch.zeros(2, 1, 8, 8), torch.zeros(2, 2)
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    plain = nn.functional.cross_entropy(logits, targets)
    one = made.loss(genotype(4, (Step("a", ON),)))
    two = made.loss(genotype(4, (Step("a", ON), Step("b", ON))))
    assert made.loss(genotype()) is None
    assert one is not None and two is not None
    assert one(images, logits, targets) == pytest.approx(2 * float(plain) + 1)
    assert two(images, logits, targets) == pytest.approx(2 * (2 * float(plain) + 1) + 1)


def test_a_preview_is_called_one_and_can_neither_train_nor_judge(tmp_path: Path) -> None:
    Learning.seen.clear()
    made = equipped(tmp_path, learning=Learning())
    learning = genotype(4, (Step("learning", ON),))
    made.preview(learning)
    made.compress(made.build(learning), Treatment(learning, 2))
    preview, full = Learning.seen
    assert preview.preview and preview.retrain is None and preview.judge is None
    assert not full.preview and full.retrain is not None and full.judge is not None
    network = made.build(learning).eval()
    accuracy = full.judge(network)
    file = made.compile(network, Treatment(learning), tmp_path / "file", final=False)[-1]
    assert 0 <= accuracy <= 1
    assert full.judge(file) == accuracy


def retrained_images(made: Factory, context: CompressionContext) -> int:
    """How many the loss sees while a network is retrained for as long as the candidate's epochs."""
    seen = []

    def counting(images: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return nn.functional.cross_entropy(logits, targets)

    assert context.retrain is not None
    context.retrain(made.build(genotype()), 1.0, loss=counting)
    return sum(seen)


def test_retraining_has_no_more_images_than_the_estimate(tmp_path: Path) -> None:
    Learning.seen.clear()
    made = equipped(tmp_path, learning=Learning())
    learning = genotype(4, (Step("learning", ON),))
    for most in (None, 8, 1000):
        made.compress(made.build(learning), Treatment(learning, 2, most))
    whole, few, many = (retrained_images(made, context) for context in Learning.seen)
    assert whole == many == 2 * len(made.footing.feed("train"))
    assert few == 2 * 8


def test_candidates_are_retrained_as_they_are_estimated(tmp_path: Path) -> None:
    Learning.seen.clear()
    made = equipped(tmp_path, learning=Learning())
    made.assembly.estimator.most_images = 8
    evaluate((0, genotype(4, (Step("learning", ON),))), [], made, toy_latencies)
    assert retrained_images(made, Learning.seen[-1]) == 2 * 8


def test_every_kind_has_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Learning.seen.clear()
    made = equipped(tmp_path, learning=Learning())
    teacher = nn.Flatten()
    monkeypatch.setattr(made, "_teacher", teacher)
    learning = genotype(4, (Step("learning", ON),))
    made.compress(made.build(learning), Treatment(learning, 1))
    assert Learning.seen[-1].teacher is teacher


def test_what_a_network_step_learns_a_file_step_writes(tmp_path: Path) -> None:
    Writing.seen.clear()
    made = equipped(tmp_path, learning=Learning(), writing=Writing())
    both = genotype(4, (Step("learning", ON), Step("writing", ON)))
    record = evaluate((0, both), [], made, toy_latencies)
    assert record.outcome == "feasible", record.error
    assert [seen[:2] for seen in Writing.seen] == [
        ({"first": [-1.0, 1.0]}, True),
        ({"first": [-1.0, 1.0]}, False),
    ]
    assert Writing.seen[1][2] == record.values["accuracy"]


class Lowering(Writing):
    """Keeps the network that a file was compiled of."""

    name = "lowering"

    def transform(self, artifact: Any, choices: Any, context: CompressionContext) -> Any:
        self.seen.append(context.network)
        return artifact


def test_a_file_step_is_given_the_network_of_the_file(tmp_path: Path) -> None:
    Writing.seen.clear()
    made = equipped(tmp_path, lowering=Lowering())
    lowering = genotype(4, (Step("lowering", ON),))
    network = made.build(lowering).eval()
    made.compile(network, Treatment(lowering), tmp_path / "file", final=False)
    assert Writing.seen == [network]


def test_a_record_keeps_the_whole_latency_by_device(tmp_path: Path) -> None:
    record = evaluate((0, genotype()), [], factory(tmp_path), toy_latencies)
    assert record.latencies["toy_device"].ms == record.values["latency_ms"]


def test_a_latency_is_measured_again_where_the_signature_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, measured = factory(tmp_path), []

    def latencies(artifacts: Any, device: str) -> Any:
        measured.append([artifact.path.stem for artifact in artifacts])
        return toy_latencies(artifacts)

    evaluate((0, genotype()), [], made, latencies)
    assert measured == [["preview"]]
    monkeypatch.setattr(
        type(made.assembly.device), "signature", lambda self, artifact: artifact.path.stem
    )
    evaluate((0, genotype()), [], made, latencies)
    assert measured == [["preview"], ["preview"], ["model"]]


class Counting(Objective):
    """How many training images it is given; wants 20."""

    name, unit, direction, tier = "counting", "images", "maximize", "static"

    def measure(self, subject: Any) -> float:
        images, labels = subject.batch()
        assert len(images) == len(labels)
        return float(len(images))


def test_an_objective_is_given_the_images_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, objective = factory(tmp_path), Counting()
    asked = []

    def images(count: int) -> Any:
        asked.append(count)
        return np.zeros((count, 1, 8, 8)), np.zeros(count)

    monkeypatch.setattr(made.calibration, "images", images)
    objective.training_images = 20
    from orchestrator import Subject

    subject = Subject(genotype(), made.build(genotype()), made.assembly.facts.shape)
    assert made.measure(objective, subject) == 20
    assert asked == [20]


def test_more_images_than_there_are_is_told(tmp_path: Path) -> None:
    made = equipped(tmp_path, learning=Learning())
    assert made.notes == []
    made.assembly.compressors["learning"].calibration_images = 5000
    assert made.notes == [
        "compressor.learning asks for 5,000 training images and gets all 32 there are."
    ]
