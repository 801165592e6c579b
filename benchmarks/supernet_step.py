"""What one training step of shared weights costs, against the plain network's own.

    python benchmarks/supernet_step.py [--families A B] [--architectures 6] [--rounds 15]

A store grows to hold `pool` random architectures of a family. A few of them, drawn from the whole
range of sizes, then take a step a round on the same 64 images of 32×32, in two ways one after the
other: as the training of shared weights does it (fetch the borrowed network and its optimiser,
forward, backward, update, write back), and as the plain network with the plain, fused optimiser.
Both have their convolutions channels last and take the optimiser that the estimator would take.

Times are CPU times of one thread, so that neighbours disturb little. The ratio is the median over
all pairs of neighbouring steps; "passes" is the same for forward and backward alone, so that the
rest is what optimiser and book-keeping add. The goal is at most 1.1 for families without attention.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from orchestrator import ImageFacts, Placement, SearchSpace
from orchestrator.config import TrainConfig
from orchestrator.plugins import installed
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.path_training import PathTraining, Recipe, Setting
from orchestrator.supernet.pool import Subnet, draw_subnets
from orchestrator.supernet.store import Store
from orchestrator.training import optimisation
from orchestrator.training.footing import Footing

IMAGES = ImageFacts.unnamed(32)
BATCH = 64
GOAL = 1.1
# Small: what is timed is a step, not where it leads.
RATE = 1e-4
WARMUPS = 2

Batch = tuple[Tensor, Tensor]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    print(f"{'family':18} {'optimiser':>9} {'plain ms':>9} {'shared ms':>9} {'ratio':>6} passes")
    rows = []
    for name in arguments.families:
        space = installed().create("space", name, {"preset": "small"})
        rows.append(_measure(space, arguments.pool, arguments.architectures, arguments.rounds))
        _show(rows[-1])
    _judge(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--families", nargs="+", default=sorted(installed().offered("space")))
    parser.add_argument("--architectures", type=int, default=6, help="that are timed")
    parser.add_argument("--pool", type=int, default=48, help="architectures that size the store")
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


@dataclass(frozen=True)
class Row:
    """Medians over rounds and architectures, and over their paired ratios."""

    family: str
    optimizer: str
    attends: bool
    plain_ms: float
    shared_ms: float
    ratio: float
    passes: float


def _measure(space: SearchSpace, pool: int, architectures: int, rounds: int) -> Row:
    torch.manual_seed(0)
    task = installed().create("task", "classification", {})
    borrower = Borrower(Store(space), task, IMAGES)
    paths = draw_subnets(borrower, count=pool, seed=0)
    chosen = paths[:: max(1, len(paths) // architectures)][:architectures]
    training = _training(borrower, paths)
    images = torch.randn(BATCH, IMAGES.in_channels, IMAGES.image_size, IMAGES.image_size)
    images = images.contiguous(memory_format=torch.channels_last)
    classes = len(IMAGES.classes)
    targets = torch.eye(classes)[torch.arange(BATCH) % classes]
    pairs = [_Pair(training, path, (images, targets)) for path in chosen]
    steps = _in_turn([(pair.plain, pair.shared) for pair in pairs], rounds)
    passes = _in_turn([(pair.plain_passes, pair.shared_passes) for pair in pairs], rounds)
    return Row(
        family=space.name,
        optimizer=training.recipe.optimizer,
        attends=any(_attends(pair.network, images[:2]) for pair in pairs),
        plain_ms=statistics.median(plain for plain, _ in steps),
        shared_ms=statistics.median(shared for _, shared in steps),
        ratio=statistics.median(shared / plain for plain, shared in steps),
        passes=statistics.median(shared / plain for plain, shared in passes),
    )


def _training(borrower: Borrower, paths: Sequence[Subnet]) -> PathTraining:
    """As the estimator sets it up: SGD for families with batch norm."""
    optimizer: Literal["sgd", "adamw"] = "sgd" if borrower.store.normed else "adamw"
    recipe = Recipe("single_path", 1, BATCH, optimizer, RATE, seed=0)
    digits = installed().create("dataset", "digits", {"in_channels": IMAGES.in_channels})
    footing = Footing(borrower.task, digits)
    return PathTraining(borrower, paths, footing, Setting(recipe, TrainConfig()))


class _Pair:
    """One architecture, borrowed and with weights of its own."""

    def __init__(self, training: PathTraining, path: Subnet, batch: Batch) -> None:
        self.training, self.path, self.batch = training, path, batch
        network = training.borrower.build(path.genotype).train()
        training.borrower.store.inherit(network)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = optimisation.optimizer_of(self.network, training.config)
        self.precision = optimisation.Precision(Placement())

    def shared(self) -> None:
        """The step of the training of shared weights."""
        self.training._update(self.path, *self.batch, RATE)

    def plain(self) -> None:
        """The step of a training of this network alone."""
        images, targets = self.batch
        for group in self.optimizer.param_groups:
            group["lr"] = RATE
        loss = functional.cross_entropy(self.network(images), targets)
        self.optimizer.zero_grad()
        self.precision.update(loss, self.network, self.optimizer)
        float(loss.detach())

    def shared_passes(self) -> None:
        self._passes(self.training.borrower.get(self.path.genotype).network)

    def plain_passes(self) -> None:
        self._passes(self.network)

    def _passes(self, network: nn.Module) -> None:
        images, targets = self.batch
        network.zero_grad()
        functional.cross_entropy(network(images), targets).backward()  # type: ignore[no-untyped-call]


def _in_turn(
    pairs: Sequence[tuple[Callable[[], None], Callable[[], None]]], rounds: int
) -> list[tuple[float, float]]:
    """Milliseconds of each pair in each round; who comes first takes turns."""
    found = []
    for turn in range(WARMUPS + rounds):
        for plain, shared in pairs:
            if turn % 2:
                shared_ms, plain_ms = _milliseconds(shared), _milliseconds(plain)
            else:
                plain_ms, shared_ms = _milliseconds(plain), _milliseconds(shared)
            if turn >= WARMUPS:
                found.append((plain_ms, shared_ms))
    return found


def _milliseconds(step: Callable[[], None]) -> float:
    gc.disable()
    try:
        start = time.process_time_ns()
        step()
        return (time.process_time_ns() - start) / 1e6
    finally:
        gc.enable()


class _Softmaxes(TorchFunctionMode):
    """Notices them: a network that takes a softmax attends."""

    seen: bool = False

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen |= "softmax" in getattr(func, "__name__", "")
        return func(*args, **(kwargs or {}))


def _attends(network: nn.Module, images: Tensor) -> bool:
    with torch.no_grad(), _Softmaxes() as softmaxes:
        network(images)
    return bool(softmaxes.seen)


def _show(row: Row) -> None:
    figures = f"{row.plain_ms:9.1f} {row.shared_ms:9.1f} {row.ratio:6.2f} {row.passes:6.2f}"
    print(f"{row.family:18} {row.optimizer:>9} {figures}", flush=True)


def _judge(rows: Sequence[Row]) -> None:
    for kind, attends in (("without", False), ("with", True)):
        ratios = [row.ratio for row in rows if row.attends == attends]
        if ratios:
            span = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{len(ratios)} families {kind} attention: ratio {span}")
    over = [row.family for row in rows if not row.attends and row.ratio > GOAL]
    print(f"goal without attention: {GOAL}; above it: {', '.join(over) or 'none'}")


if __name__ == "__main__":
    main()
