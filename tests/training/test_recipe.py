"""What each setting of a recipe does to a training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pydantic
import pytest
import torch
from footings import footing
from orchestrator_classification.task import Classification
from torch import Tensor, nn

from orchestrator import ArraySamples, Batch, Dataset, ImageFacts
from orchestrator.config import TrainConfig
from orchestrator.contracts import Split
from orchestrator.errors import TrainingError
from orchestrator.plugins import installed
from orchestrator.records import Genotype
from orchestrator.training import optimisation
from orchestrator.training.batches import Batches, grown
from orchestrator.training.building import build_network
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.footing import Footing
from orchestrator.training.layers import depths_of
from orchestrator.training.sampling import weights_of
from orchestrator.trials import RandomTrial

PLAIN = TrainConfig(
    batch_size=16, learning_rate=0.02, crop_padding=0, mirror="off", label_smoothing=0.0
)


class Dots(Dataset):
    """Grey images that are brighter the higher their class; of class 0 there are most."""

    name = "dots"
    classes = ("dark", "middle", "bright")
    image_size = 16
    in_channels = 1
    mean = (0.5,)
    deviation = (0.25,)

    def __init__(self, counts: tuple[int, ...] = (48, 32, 16)) -> None:
        self.counts = counts

    def split(self, name: Split) -> ArraySamples:
        rng = np.random.default_rng(["train", "validation", "test"].index(name))
        labels = np.repeat(np.arange(3), self.counts)
        pixels = rng.integers(0, 90, (len(labels), 1, 16, 16)) + 80 * labels[:, None, None, None]
        return ArraySamples(pixels.astype(np.uint8), labels.astype(np.int64))


def network(norm: bool = True) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        middle = nn.BatchNorm2d(8) if norm else nn.Identity()
        layers = [nn.Conv2d(1, 8, 3, 2, 1), middle, nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 3))


class Watch:
    """A loss that keeps what it saw."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []
        self.targets: list[Tensor] = []

    def __call__(self, images: Tensor, answer: Tensor, targets: Tensor) -> Tensor:
        self.images.append(images.clone())
        self.targets.append(targets.clone())
        return nn.functional.cross_entropy(answer, targets)

    @property
    def sides(self) -> list[int]:
        return [int(images.shape[-1]) for images in self.images]


def watched(config: TrainConfig, data: Dataset | None = None, **run: Any) -> Watch:
    watch = Watch()
    run = {"epochs": 1, "seed": 1, **run}
    train(network(), footing(data or Dots()), config, TrainRun(loss=watch, **run))
    return watch


EVERYTHING = {
    "crop_area": 0.3,
    "colour_jitter": 0.3,
    "mixup_alpha": 0.2,
    "cutmix_alpha": 1.0,
    "sampling": "balanced",
    "accumulate": 2,
    "layer_decay": 0.8,
    "grow_from": 0.5,
    "ema_decay": 0.9,
    "erasing": 0.2,
}


def test_the_same_seed_gives_the_same_curve_with_everything_on() -> None:
    config = replace(PLAIN, **EVERYTHING)
    nets = [network(), network(), network()]
    curves = [
        train(net, footing(Dots()), config, TrainRun(3, seed=seed)).curve
        for net, seed in zip(nets, (4, 4, 5), strict=True)
    ]
    assert curves[0] == curves[1]
    assert torch.equal(nets[0][-1].weight, nets[1][-1].weight)
    assert not torch.equal(nets[0][-1].weight, nets[2][-1].weight)


def test_a_network_learns_with_everything_on() -> None:
    config = replace(PLAIN, **{**EVERYTHING, "colour_jitter": 0.05})
    assert train(network(), footing(Dots()), config, TrainRun(8, seed=0)).curve[-1] > 0.8


def test_settings_are_off_by_default_and_kept_in_their_ranges() -> None:
    read = pydantic.TypeAdapter(TrainConfig).validate_python
    off = {"crop_area": 1.0, "augment": "none", "cutmix_alpha": 0.0, "sampling": "plain"}
    off |= {"class_weights": "none"}
    off |= {"layer_decay": 1.0, "accumulate": 1, "grow_from": 1.0, "colour_jitter": 0.0}
    assert read({}) == read(off)
    wrong = {"crop_area": 0.0, "augment": "auto", "sampling": "fair", "layer_decay": 1.1}
    wrong |= {"accumulate": 0, "grow_from": 0.0, "colour_jitter": 1.5, "cutmix_alpha": -1.0}
    for name, value in wrong.items():
        with pytest.raises(pydantic.ValidationError, match=name):
            read({name: value})


def test_random_parts_of_images_are_scaled_to_the_whole() -> None:
    whole, parts = (watched(replace(PLAIN, crop_area=area)).images[0] for area in (1.0, 0.3))
    assert parts.shape == whole.shape
    # Scaled up, neighbours are more alike than the noise they were taken from.
    assert parts.diff(dim=-1).abs().mean() < 0.9 * whole.diff(dim=-1).abs().mean()


def test_samples_that_are_cut_as_they_are_read_are_not_cut_again() -> None:
    class Cut(ArraySamples):
        cuts = True

    class CutDots(Dots):
        def split(self, name: Split) -> ArraySamples:
            found = super().split(name)
            return Cut(found.pixels, found.targets)

    config = replace(PLAIN, crop_area=0.3)
    once = watched(config, CutDots()).images[0]
    assert torch.equal(once, watched(PLAIN).images[0])


def test_balanced_sampling_shows_every_class_as_often() -> None:
    watch = watched(replace(PLAIN, sampling="balanced"))
    assert torch.cat(watch.targets).sum(0).tolist() == [32, 32, 32]
    assert torch.cat(watched(PLAIN).targets).sum(0).tolist() == [48, 32, 16]


def test_balanced_sampling_repeats_no_image_more_than_its_class_needs() -> None:
    batches = Batches(footing(Dots()), replace(PLAIN, sampling="balanced"), seed=0)
    drawn = np.concatenate(list(batches.order()))
    counts = np.bincount(drawn, minlength=96)
    assert set(counts[:48]) == {0, 1}
    assert set(counts[48:80]) == {1}
    assert set(counts[80:]) == {2}


def test_balanced_sampling_of_masks_is_refused() -> None:
    class Masks(Dots):
        def split(self, name: Split) -> ArraySamples:
            found = super().split(name)
            return ArraySamples(found.pixels, found.pixels[:, 0])

    with pytest.raises(TrainingError, match=r"found targets of shape \(96, 16, 16\)"):
        Batches(footing(Masks()), replace(PLAIN, sampling="balanced"), seed=0)


def test_class_weights_make_every_class_count_as_much() -> None:
    watch = watched(replace(PLAIN, class_weights="balanced"))
    targets = torch.cat(watch.targets)
    assert targets.sum(0).tolist() == pytest.approx([32, 32, 32])
    assert sorted(set(targets.sum(1).tolist())) == pytest.approx([96 / 144, 1.0, 2.0])


def test_weighted_targets_weigh_the_loss_of_each_image() -> None:
    facts, labels = Dots().facts, torch.tensor([0, 1, 2, 2])
    weights, answers = torch.tensor([0.5, 1.0, 3.0]), torch.randn(4, 3)
    batch = Batch(torch.zeros(4, 1, 16, 16, dtype=torch.uint8), labels, facts, False, 16, weights)
    config = replace(PLAIN, label_smoothing=0.1)
    _, targets = Classification().batch(batch, np.random.default_rng(0), config)
    each = nn.functional.cross_entropy(answers, labels, label_smoothing=0.1, reduction="none")
    loss = Classification().loss(answers, targets)
    assert float(loss) == pytest.approx(float((weights[labels] * each).mean()))


def test_classes_of_masks_are_weighed_by_their_pixels() -> None:
    masks = np.full((2, 4, 4), 255, np.uint8)
    masks[0, 0], masks[1, 0, 0] = 0, 2
    samples = ArraySamples(np.zeros((2, 1, 4, 4), np.uint8), masks)
    assert weights_of(samples, 3).tolist() == pytest.approx([5 / (2 * 4), 5 / 2, 5 / 2])


def test_a_task_that_does_not_weigh_classes_is_refused() -> None:
    class Deaf(Classification):
        name, weighs_classes = "deaf", False

    base = footing(Dots())
    deaf = Footing(Deaf(), base.dataset)
    with pytest.raises(TrainingError, match="task=deaf does not weigh classes"):
        Batches(deaf, replace(PLAIN, class_weights="balanced"), seed=0)


def test_accumulated_batches_move_weights_as_one_large_batch_does() -> None:
    def trained(batch_size: int, accumulate: int, count: int = 32) -> Tensor:
        net, data = network(norm=False), Dots((count, count, count))
        config = replace(PLAIN, batch_size=batch_size, accumulate=accumulate)
        train(net, footing(data), config, TrainRun(2, seed=0))
        return net[-1].weight.detach()

    assert torch.allclose(trained(24, 1), trained(8, 3), atol=1e-5)
    assert not torch.allclose(trained(24, 1), trained(8, 1), atol=1e-3)
    # Seven batches in threes: the last one is an update of its own.
    assert torch.isfinite(trained(8, 3, count=19)).all()


def test_early_layers_learn_at_a_share_of_the_rate_of_late_ones() -> None:
    net, config = network(), replace(PLAIN, layer_decay=0.5, optimizer="sgd")
    optimizer = optimisation.optimizer_of(net, config)
    optimisation.set_rate(optimizer, 0.1)
    rates = {p: g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {n: rates[p] for n, p in net.named_parameters()} == {
        "0.weight": 0.05,
        "0.bias": 0.05,
        "1.weight": 0.05,  # a norm belongs to the layer before
        "1.bias": 0.05,
        "5.weight": 0.1,
        "5.bias": 0.1,
    }


@pytest.mark.parametrize(("name", "least"), [("mobilenetv2", 12), ("vit", 6), ("swin", 6)])
def test_a_layer_is_a_block_of_the_network(name: str, least: int) -> None:
    space = installed().create("space", name, {"preset": "full"})
    architecture = space.suggest(RandomTrial(1))
    genotype = Genotype(name, "full", architecture)
    net = build_network(space, genotype, ImageFacts.unnamed(64), seed=0)
    last, depths = depths_of(net)
    assert depths.keys() == dict(net.named_parameters()).keys()
    assert set(depths.values()) == set(range(last + 1))
    assert last >= least
    assert list(depths.values()) == sorted(depths.values())
    assert depths["classifier.weight"] == last


def test_images_grow_to_their_whole_size() -> None:
    watch = watched(replace(PLAIN, grow_from=0.5), epochs=3)
    tried, trained = watch.sides[:2], watch.sides[2:]
    assert tried == [8, 12]
    assert trained == [8] * 6 + [12] * 6 + [16] * 6
    assert [grown(0.5, epoch, 1) for epoch in (1, 2)] == [1.0, 1.0]


def test_trained_networks_go_on_with_whole_images() -> None:
    assert set(watched(replace(PLAIN, grow_from=0.5), epochs=3, warm=True).sides) == {16}


def test_a_network_for_one_image_size_does_not_grow() -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(256, 3))
    with pytest.raises(TrainingError, match=r"train\.grow_from: at 0\.5 an image has 8 px"):
        train(fixed, footing(Dots()), replace(PLAIN, grow_from=0.5), TrainRun(2, seed=0))
