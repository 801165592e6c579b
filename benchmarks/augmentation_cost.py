"""What each augmentation costs, beside a training step of MobileNetV2.

    python benchmarks/augmentation_cost.py [--side 96] [--batch 64] [--rounds 9]

Every line is the time of `Task.batch` of classification with one setting of a recipe switched on,
less that of normalisation alone, and its share of a step (forward, backward and update) of the
published MobileNetV2 on the same images. Times are CPU times of one thread, so that neighbours
disturb little; the median over rounds, which take the settings in turn. TrivialAugment and
RandAugment need the extra `pareto-orchestrator[augment]` and are left out, and said so, where it is
not installed. The goal is at most a tenth of a step for the recipe `train=finetune`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from orchestrator import Batch, ImageFacts, Placement, network
from orchestrator.cli.composing import compose
from orchestrator.config import TrainConfig
from orchestrator.plugins import installed
from orchestrator.training import optimisation

GOAL = 0.1
WARMUPS = 2
OFF = TrainConfig(crop_padding=0, mirror="off", label_smoothing=0.0)
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "crop_padding 4": {"crop_padding": 4},
    "crop_area 0.35": {"crop_area": 0.35},
    "mirror": {"mirror": "on"},
    "colour_jitter 0.2": {"colour_jitter": 0.2},
    "erasing 0.25": {"erasing": 0.25},
    "mixup_alpha 0.2": {"mixup_alpha": 0.2},
    "cutmix_alpha 1": {"cutmix_alpha": 1.0},
    "augment trivial": {"augment": "trivial"},
    "augment rand": {"augment": "rand"},
}


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    facts, recipe = (
        ImageFacts.unnamed(arguments.side),
        compose(["+search=mobilenetv2", "train=finetune"]).train,
    )
    batch = _batch(facts, arguments.batch)
    recipes = {"normalisation": OFF, **_known(), "train=finetune": recipe}
    made = {name: _maker(batch, recipe) for name, recipe in recipes.items()}
    *augmented, step = _times([*made.values(), _step(batch)], arguments.rounds)
    seconds = dict(zip(made, augmented, strict=True))
    plain = seconds.pop("normalisation")
    print(f"MobileNetV2, {arguments.side} px, batches of {arguments.batch}, one thread")
    print(f"{'':20} {'ms an image':>12} {'images/s':>10} {'of a step':>10}")
    for name, found in {"a step": step, "normalisation": plain}.items():
        _show(name, found / arguments.batch, found / step)
    for name, found in seconds.items():
        _show(name, (found - plain) / arguments.batch, (found - plain) / step)
    share = (seconds["train=finetune"] - plain) / step
    print(f"train=finetune: {share:.1%} of a step, goal {GOAL:.0%}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=96, help="pixels of an image")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def _known() -> dict[str, TrainConfig]:
    """Recipes with one setting on, those left out whose library is not here."""
    found = {name: replace(OFF, **settings) for name, settings in SETTINGS.items()}
    if find_spec("kornia") is not None:
        return found
    print("kornia is not installed: augment trivial and rand are left out")
    return {name: recipe for name, recipe in found.items() if recipe.augment == "none"}


def _batch(facts: ImageFacts, count: int) -> Batch:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, *facts.shape), dtype=np.uint8)
    labels = rng.integers(0, len(facts.classes), count)
    return Batch(torch.from_numpy(pixels), torch.from_numpy(labels), facts, False, facts.image_size)


def _maker(batch: Batch, recipe: TrainConfig) -> Callable[[], object]:
    task, rng = installed().create("task", "classification", {}), np.random.default_rng(0)
    told = replace(batch, mirror=recipe.mirror != "off")
    return lambda: task.batch(told, rng, recipe)


def _step(batch: Batch) -> Callable[[], object]:
    """Forward, backward and update, as a training does them."""
    classes = len(batch.facts.classes)
    net = network("mobilenetv2/1.0", classes=classes).train()
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = optimisation.optimizer_of(net, OFF)
    precision, task = (
        optimisation.Precision(Placement()),
        installed().create("task", "classification", {}),
    )
    images, targets = task.batch(batch, np.random.default_rng(0), OFF)
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        precision.update(task.loss(net(images), targets), net, optimizer)
        optimizer.zero_grad()

    return step


def _times(functions: list[Callable[[], object]], rounds: int) -> list[float]:
    """The median CPU time of each, one after the other in every round."""
    taken: list[list[float]] = [[] for _ in functions]
    for turn in range(WARMUPS + rounds):
        for function, times in zip(functions, taken, strict=True):
            start = time.process_time()
            function()
            if turn >= WARMUPS:
                times.append(time.process_time() - start)
    return [statistics.median(times) for times in taken]


def _show(name: str, seconds: float, share: float) -> None:
    print(f"{name:20} {1e3 * seconds:12.3f} {1 / max(seconds, 1e-9):10.0f} {share:10.1%}")


if __name__ == "__main__":
    main()
