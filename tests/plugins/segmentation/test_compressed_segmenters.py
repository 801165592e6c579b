"""Networks that answer with maps, under every kind of compressor, out of a bundle, and shared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from orchestrator_distillation.compressor import Distillation
from orchestrator_pruning.channels import ChannelPruning
from orchestrator_segmentation.task import Segmentation
from torch import Tensor, nn

from orchestrator import CompressionContext, Genotype, ImageFacts, Subject
from orchestrator.bundle import BundleContents, rebuild, write_bundle
from orchestrator.plugins import installed
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.store import Store
from orchestrator.testing.compressor import check_compressor
from orchestrator.testing.objective import check_objective
from orchestrator.trials import RandomTrial

FACTS = ImageFacts.unnamed(32, in_channels=1, classes=5)
TASK = Segmentation(stride=4)


def _genotype(space: Any, decoder: str, seed: int) -> Genotype:
    head = {"decoder": decoder, "width": 32}
    architecture = space.suggest(RandomTrial(seed))
    return Genotype(space.name, space.preset, architecture, task="segmentation", head=head)


def _space(name: str) -> Any:
    return installed().create("space", name, {"preset": "small"})


def _build(space: Any, genotype: Genotype) -> nn.Module:
    return TASK.build(space, genotype.architecture, genotype.head, FACTS)


def _context(space: Any) -> CompressionContext:
    images = np.random.default_rng(0).normal(size=(8, 1, 32, 32)).astype(np.float32)
    device: Any = SimpleNamespace(alignment=8)
    return CompressionContext(space, device, images, seed=0, task=TASK)


@pytest.mark.parametrize("decoder", ["lraspp", "fpn"])
@pytest.mark.parametrize(("name", "seed"), [("mobilenetv3", 0), ("efficientformer", 1)])
def test_pruning_fulfils_its_contract_and_keeps_the_classes(
    name: str, seed: int, decoder: str
) -> None:
    torch.manual_seed(0)
    space = _space(name)
    genotype = _genotype(space, decoder, seed)
    check_compressor(ChannelPruning(), _context(space), build=lambda: _build(space, genotype))
    pruned = ChannelPruning().compress(_build(space, genotype), {"ratio": 0.5}, _context(space))
    assert pruned(torch.zeros(2, 1, 32, 32)).shape == (2, 5, 8, 8)


def test_pruning_is_told_of_the_layers_of_space_and_task() -> None:
    space = _space("efficientformer")
    network = _build(space, _genotype(space, "lraspp", 1))
    fixed = _context(space).fixed_layers(network)
    assert set(fixed) > set(TASK.fixed_layers(network))
    assert set(fixed) >= set(space.fixed_layers(network))
    assert replace(_context(space), task=None).fixed_layers(network) == list(
        space.fixed_layers(network)
    )


def _pixels_loss(images: Tensor, answer: Tensor, targets: Tensor) -> Tensor:
    return TASK.loss(answer, targets)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_teacher_of_maps_is_followed(kind: str) -> None:
    torch.manual_seed(0)
    space = _space("mobilenetv3")
    teacher, student = (_build(space, _genotype(space, "fpn", seed)) for seed in (0, 1))
    context = replace(_context(space), teacher=teacher.eval(), loss=_pixels_loss)
    images = torch.from_numpy(context.calibration)
    masks = torch.full((8, 32, 32), 255)
    loss = Distillation().loss({"alpha": 0.5, "kind": kind}, context)
    with torch.no_grad():
        followed = teacher(images)
        own, other = loss(images, 10 * followed, masks), loss(images, -10 * followed, masks)
    assert own < other
    loss(images, student(images), masks).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in student.head.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize("decoder", ["lraspp", "fpn"])
def test_a_pruned_network_is_rebuilt_from_its_bundle(decoder: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    space = _space("mobilenetv3")
    genotype = _genotype(space, decoder, 0)
    network = ChannelPruning().compress(_build(space, genotype), {"ratio": 0.5}, _context(space))
    contents = BundleContents(
        genotype=genotype,
        network=network.eval(),
        images=FACTS,
        task_options={"stride": 4},
        outputs=TASK.outputs(FACTS),
        figures={"test_miou": 0.5},
        classes={"0": {"count": 10, "iou": 0.25}, "1": {"count": 3}},
    )
    folder = write_bundle(tmp_path / "bundle", contents)
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(rebuild(folder)(images), network(images))
    card = (folder / "card.md").read_text()
    assert f"with a head for segmentation (decoder {decoder}, width 32)" in card
    assert (
        "| class | count | iou |\n| --- | --- | --- |\n| 0 | 10 | 25.0 % |\n| 1 | 3 | – |" in card
    )


def test_networks_share_the_weights_of_backbone_and_head() -> None:
    torch.manual_seed(0)
    space = _space("mobilenetv3")
    borrower = Borrower(Store(space), TASK, FACTS)
    genotypes = [_genotype(space, "fpn", seed) for seed in range(3)]
    for genotype in genotypes:
        borrower.get(genotype)  # the store grows until it covers all of them
    first, second = (dict(borrower.get(g).network.named_parameters()) for g in genotypes[:2])
    both = set(first) & set(second)
    assert any(name.startswith("backbone.stages.") for name in both)
    assert {"head.fpn.classifier.weight", "head.fpn.laterals.0.weight"} <= both
    for name in both:
        places = [found[name].untyped_storage().data_ptr() for found in (first, second)]
        assert places[0] == places[1], name
    answer = borrower.get(genotypes[0]).network(torch.zeros(2, 1, 32, 32))
    assert answer.shape == (2, 5, 8, 8)


@pytest.mark.parametrize("name", ["naswot", "synflow", "zen", "zico", "macs", "peak_activation"])
def test_what_is_known_of_untrained_networks_is_known_of_these(name: str) -> None:
    torch.manual_seed(0)
    space = _space("mobilenetv3")
    genotype = _genotype(space, "lraspp", 0)
    images = np.random.default_rng(0).normal(size=(128, 1, 32, 32)).astype(np.float32)
    masks = np.random.default_rng(1).integers(0, 5, (128, 32, 32))
    masks[:, :4] = 255
    network = _build(space, genotype).eval()
    subject = Subject(genotype, network, FACTS.shape, batch=lambda: (images, masks))
    check_objective(installed().create("objective", name, {}), subject)
