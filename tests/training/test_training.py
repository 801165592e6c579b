from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pydantic
import pytest
import torch
import yaml
from footings import footing
from torch import Tensor, nn

from orchestrator import ArraySamples, Dataset, Training
from orchestrator.config import EarlyStopConfig, TrainConfig
from orchestrator.contracts import Split
from orchestrator.errors import DataError, TrainingError
from orchestrator.measuring.gate import Gate
from orchestrator.paths import config_dir
from orchestrator.training import augmentation, epochs
from orchestrator.training.batches import Batches
from orchestrator.training.epochs import TrainRun, hopeless
from orchestrator.training.scoring import answers, leading_figure

CONFIG = pydantic.TypeAdapter(TrainConfig).validate_python(
    {"batch_size": 16, "learning_rate": 0.02, "crop_padding": 1}
)


class Halves(Dataset):
    """Noise that is brighter in one of the halves, above or below."""

    name = "halves"
    classes = ("above", "below")
    image_size = 8
    in_channels = 1
    mean = (0.5,)
    deviation = (0.25,)

    def __init__(self, count: int = 96) -> None:
        self.count = count

    def split(self, name: Split) -> ArraySamples:
        rng = np.random.default_rng(["train", "validation", "test"].index(name))
        labels = np.arange(self.count) % 2
        pixels = rng.integers(0, 120, size=(self.count, 1, 8, 8))
        pixels[labels == 0, :, :4] += 100
        pixels[labels == 1, :, 4:] += 100
        return ArraySamples(pixels.astype(np.uint8), labels.astype(np.int64))


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(8 * 16, 2),
        )


def train(net: nn.Module, data: Dataset, config: TrainConfig, run: TrainRun) -> Training:
    return epochs.train(net, footing(data), config, run)


def seconds_per_step(net: nn.Module, data: Dataset, config: TrainConfig) -> float:
    return epochs.seconds_per_step(net, footing(data), config)


def evaluate(net: nn.Module, data: Dataset, split: Split) -> float:
    return leading_figure(net, footing(data), split)


def run(epochs: int = 3, **more: Any) -> TrainRun:
    return TrainRun(epochs=epochs, seed=1, **more)


@pytest.mark.parametrize("path", sorted((config_dir() / "train").glob("*.yaml")), ids=str)
def test_every_recipe_names_every_setting(path: Path) -> None:
    recipe = yaml.safe_load(path.read_text("utf-8"))
    assert recipe.keys() == {item.name for item in fields(TrainConfig)}
    assert recipe["early_stop"].keys() == {item.name for item in fields(EarlyStopConfig)}
    pydantic.TypeAdapter(TrainConfig).validate_python(recipe)


def test_a_network_learns() -> None:
    net = network()
    training = train(net, Halves(), CONFIG, run(5))
    assert len(training.curve) == 5
    assert not training.stopped
    assert training.curve[-1] > 0.95
    assert evaluate(net, Halves(), "test") > 0.95


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd", "learning_rate": 0.05},
        {"mixup_alpha": 0.2, "erasing": 0.25},
        {"ema_decay": 0.9},
        {"mirror": "off", "crop_padding": 0, "label_smoothing": 0.0, "warmup_share": 0.0},
    ],
)
def test_every_part_of_the_recipe_learns(change: dict[str, Any]) -> None:
    training = train(network(), Halves(), replace(CONFIG, **change), run(6))
    assert training.curve[-1] > 0.9


def test_the_same_seed_gives_the_same_curve_and_weights() -> None:
    config = replace(CONFIG, mixup_alpha=0.2, erasing=0.5, ema_decay=0.9)
    first, second, third = network(), network(), network()
    curve = train(first, Halves(), config, run()).curve
    torch.rand(3)
    assert train(second, Halves(), config, run()).curve == curve
    train(third, Halves(), config, TrainRun(epochs=3, seed=2))
    assert torch.equal(first[-1].weight, second[-1].weight)
    assert not torch.equal(first[-1].weight, third[-1].weight)


def test_the_global_random_state_is_left_alone() -> None:
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    train(network(), Halves(), CONFIG, run(1))
    seconds_per_step(network(), Halves(), CONFIG)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])


def test_a_trained_network_is_ready_for_export() -> None:
    net = network()
    train(net, Halves(), CONFIG, run(1))
    assert not net.training
    assert all(p.is_contiguous() and p.grad is None for p in net.parameters())


def test_on_epoch_sees_the_curve_and_may_stop() -> None:
    seen = []

    def on_epoch(epoch: int, accuracy: float) -> bool:
        seen.append((epoch, accuracy))
        return epoch < 2

    training = train(network(), Halves(), CONFIG, run(5, on_epoch=on_epoch))
    assert training.stopped
    assert seen == list(enumerate(training.curve, start=1))
    assert len(seen) == 2


def test_stopping_after_the_last_epoch_is_no_stop() -> None:
    training = train(network(), Halves(), CONFIG, run(1, on_epoch=lambda epoch, accuracy: False))
    assert not training.stopped


def test_a_loss_that_is_not_finite_names_epoch_and_step() -> None:
    calls = []

    def loss(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        calls.append(1)
        return logits.sum() * (math.nan if len(calls) == 9 else 1.0)

    with pytest.raises(TrainingError, match="epoch 2, step 3 of 6"):
        train(network(), Halves(), CONFIG, run(5, loss=loss))


def test_the_loss_sees_what_the_network_saw() -> None:
    shapes = []

    def loss(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        shapes.append((tuple(images.shape), tuple(logits.shape), tuple(targets.shape)))
        assert torch.allclose(targets.sum(1), torch.ones(len(targets)))
        return nn.functional.cross_entropy(logits, targets)

    train(network(), Halves(96), CONFIG, run(1, loss=loss))
    assert shapes == [((16, 1, 8, 8), (16, 2), (16, 2))] * 6


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = network(0), network(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.heads(images).mean(1)

    def heads(self, images: Tensor) -> Tensor:
        return torch.stack((self.first(images), self.second(images)), dim=1)


class HeadsLayer(nn.Module):
    """As torchvision's vision transformer, which calls its classifier `heads`."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.Linear(64, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.heads(images.flatten(1))


class ShapeLoss:
    def __init__(self, per_head: bool) -> None:
        self.per_head = per_head
        self.shapes: set[tuple[int, ...]] = set()

    def __call__(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        self.shapes.add(tuple(logits.shape))
        return logits.square().mean()


@pytest.mark.parametrize(
    ("build", "per_head", "shape"),
    [
        (TwoHeads, True, (16, 2, 2)),
        (TwoHeads, False, (16, 2)),
        (network, True, (16, 2)),
        (HeadsLayer, True, (16, 2)),
    ],
)
def test_a_loss_may_ask_for_each_heads_logits(
    build: Callable[[], nn.Module], per_head: bool, shape: tuple[int, ...]
) -> None:
    loss = ShapeLoss(per_head)
    train(build(), Halves(96), CONFIG, run(1, loss=loss))
    assert loss.shapes == {shape}


@pytest.mark.parametrize(("count", "sizes"), [(33, [17, 16]), (17, [17]), (3, [3]), (2, [2])])
def test_no_batch_is_a_single_image(count: int, sizes: list[int]) -> None:
    seen = []

    def loss(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        seen.append(len(images))
        return nn.functional.cross_entropy(logits, targets)

    train(network(), Halves(count), CONFIG, run(1, loss=loss))
    assert seen == sizes


def flexible() -> nn.Module:
    layers = [nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 4, 2))


SCALED = replace(CONFIG, scales=(0.5, 1.0))


def test_batches_of_smaller_images_are_larger_and_hold_every_image_once() -> None:
    drawn: list[tuple[int, int]] = []

    def loss(images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        drawn.append((len(images), images.shape[-1]))
        return nn.functional.cross_entropy(logits, targets)

    train(flexible(), Halves(320), SCALED, run(3, loss=loss))
    # What the start tries comes first; sixteen whole images have as many pixels as 64 halved.
    assert drawn[0] == (2, 4)
    assert sorted(drawn[1:]) == sorted([(16, 8), (64, 4)] * (3 * 4))


@pytest.mark.parametrize("count", [2, 3, 5, 11, 40])
def test_no_scaled_batch_is_a_single_image(count: int) -> None:
    config = replace(SCALED, batch_size=1, scales=(0.25, 0.5, 1.0))
    batches = Batches(footing(Halves(count)), config, seed=0)
    for _ in range(20):
        order = [indices for indices, _ in batches.scaled_order()]
        assert min(map(len, order)) > 1
        assert sorted(np.concatenate(order)) == list(range(count))


def test_a_network_learns_at_several_scales() -> None:
    assert train(flexible(), Halves(), SCALED, run(8)).curve[-1] > 0.9


def test_a_network_for_one_image_size_is_told_before_it_is_trained() -> None:
    net = network()
    with pytest.raises(TrainingError, match=r"train\.scales: at 0\.5 an image has 4 px"):
        train(net, Halves(), SCALED, run(1))
    assert torch.equal(net[0].weight, network()[0].weight)


@pytest.mark.parametrize("scales", [[], [0.0], [1.5], 0.5])
def test_scales_are_shares_of_the_image_size(scales: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(TrainConfig).validate_python({"scales": scales})


def test_an_empty_split_is_named() -> None:
    with pytest.raises(DataError, match="train split of halves is empty"):
        train(network(), Halves(0), CONFIG, run(1))


def test_warm_training_stays_near_the_weights_it_got() -> None:
    def moved(warm: bool) -> float:
        net, start = network(), network()
        train(net, Halves(), CONFIG, run(1, warm=warm))
        return float((net[-1].weight - start[-1].weight).detach().abs().mean())

    assert moved(warm=True) < 0.7 * moved(warm=False)


def test_the_averaged_weights_are_the_ones_that_are_judged() -> None:
    net = network()
    curve = train(net, Halves(), replace(CONFIG, ema_decay=0.99), run(3)).curve
    assert evaluate(net, Halves(), "validation") == curve[-1]


def test_the_gate_is_held_for_each_step_and_free_in_between() -> None:
    held = []

    class Counting:
        @contextmanager
        def shared(self) -> Iterator[None]:
            held.append("in")
            yield
            held.append("out")

    counted = footing(Halves(96), gate=cast(Gate, Counting()))
    epochs.train(network(), counted, CONFIG, run(1))
    assert held == ["in", "out"] * (6 + 2)  # six steps, two batches of validation


def test_decay_spares_norms_and_biases() -> None:
    config = replace(CONFIG, weight_decay=300.0, learning_rate=1e-3)
    net = network()
    train(net, Halves(), config, run(1))
    assert net[1].weight.detach().mean() > 0.98
    assert net[-1].weight.detach().norm() < 0.7 * network()[-1].weight.detach().norm()


def test_prediction_keeps_order_and_mode() -> None:
    net = network().train()
    logits = torch.cat([found for found, _ in answers(net, footing(Halves()), "test")])
    images = torch.from_numpy(Halves().facts.normalise(Halves().split("test").pixels))
    assert net.training
    with torch.no_grad():
        assert torch.allclose(logits, net.eval()(images), atol=1e-5)


def test_normalised_pixels_have_the_dataset_statistics() -> None:
    pixels = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    images = Halves().facts.normalise(pixels)
    assert images.dtype == np.float32
    assert images.ravel().tolist() == [-2.0, 2.0]


def test_a_timed_step_leaves_the_network_alone() -> None:
    net, same = network(), network()
    assert 0 < seconds_per_step(net, Halves(), CONFIG) < 5
    assert torch.equal(net[0].weight, same[0].weight)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("epoch", "accuracy", "rivals", "hopeless_"),
    [
        (5, 0.5, [(0.1,) * 4 + (0.6,)] * 2, True),
        (4, 0.5, [(0.9,) * 10] * 2, False),  # too early to tell
        (5, 0.5, [(0.9,) * 10], False),  # one rival is no crowd
        (5, 0.58, [(0.6,) * 10] * 3, False),  # within the margin
        (6, 0.5, [(0.9,) * 5] * 3, False),  # nothing known at that epoch
        (10, 0.1, [(0.9,) * 10] * 3, False),  # nothing left to save
    ],
)
def test_a_candidate_is_hopeless_when_enough_rivals_are_ahead(
    epoch: int, accuracy: float, rivals: list[tuple[float, ...]], hopeless_: bool
) -> None:
    config = EarlyStopConfig(after=0.5, rivals=2, margin=0.03)
    assert hopeless(epoch, accuracy, 10, rivals, config) is hopeless_


def test_early_stopping_can_be_switched_off() -> None:
    assert not hopeless(9, 0.0, 10, [(1.0,) * 10] * 5, EarlyStopConfig(rivals=0))


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    pixels = torch.arange(1, 17, dtype=torch.uint8).reshape(1, 1, 4, 4).repeat(64, 1, 1, 1)
    cropped = augmentation.crop(pixels, 1, np.random.default_rng(0))
    padded = nn.functional.pad(pixels[0, 0], (1,) * 4)
    windows = {
        tuple(padded[y : y + 4, x : x + 4].ravel().tolist()) for y in (0, 1, 2) for x in (0, 1, 2)
    }
    assert cropped.shape == pixels.shape
    assert {tuple(image.ravel().tolist()) for image in cropped} == windows


def test_a_mirror_swaps_left_and_right_of_about_half() -> None:
    pixels = torch.arange(200, dtype=torch.uint8).reshape(100, 1, 1, 2)
    mirrored = augmentation.mirror(pixels, np.random.default_rng(0))
    swapped = (mirrored != pixels).flatten(1).any(1)
    assert 30 < int(swapped.sum()) < 70
    assert torch.equal(mirrored[swapped], pixels[swapped].flip(-1))


def test_erasing_blanks_one_rectangle() -> None:
    images = torch.ones(200, 2, 16, 16)
    erased = augmentation.erase(images, 0.5, np.random.default_rng(0))
    holes = erased[:, 0] == 0
    touched = holes.flatten(1).any(1)
    assert 70 < int(touched.sum()) < 130
    assert torch.equal(erased[:, 0], erased[:, 1])
    rectangles = holes.any(1)[:, None, :] & holes.any(2)[:, :, None]
    assert torch.equal(rectangles, holes)
    assert 0.01 < float(holes[touched].float().mean()) < 0.25


def test_mixing_blends_images_and_targets_alike() -> None:
    targets = torch.eye(4)
    images = targets.reshape(4, 4, 1, 1).clone()
    mixed, blended = augmentation.mix(images, targets, 1.0, np.random.default_rng(3))
    assert torch.allclose(mixed.flatten(1), blended)
    assert torch.allclose(blended.sum(1), torch.ones(4))
    assert int((blended > 0).sum()) > 4


def test_soft_targets_spread_the_smoothing() -> None:
    targets = augmentation.soft_targets(torch.tensor([1]), 4, 0.2)
    assert torch.allclose(targets, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))
