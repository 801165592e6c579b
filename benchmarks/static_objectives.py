"""Parameters and multiply-adds of a search's candidates: our counts against plain thop.profile.

    python benchmarks/static_objectives.py [--spaces A B] [--before 100] [--networks 40]

A sampler sifts architectures by their budgets. For each space our counter first sees `before` drawn
architectures, as it would have in a search. Then `networks` others, none of which it saw, are
counted in batches of ten, by thop and by us in turn. thop is given networks that are built, at no
cost to it; "with build" adds what building them took, which nobody who counts with thop is spared.
"fresh" is ours from an architecture to both counts; "first" the mean of the first `before` ones;
"known" the same networks again. Figures are medians over the batches, ratios are to thop without
builds. All run on one thread, and what is told is CPU time, which other work on the machine
disturbs least. Garbage is not collected while a clock runs, as in timeit. Every figure of ours is
checked against torch's FlopCounterMode on the network that was built.
"""

from __future__ import annotations

import argparse
import copy
import gc
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from orchestrator_objectives.counting import ExactCounter
from orchestrator_objectives.operations import visible_attention
from orchestrator_objectives.params import count_parameters
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from orchestrator import Architecture, Classes, ImageFacts, SearchSpace
from orchestrator.plugins import installed
from orchestrator.training.outlines import Outlines
from orchestrator.trials import RandomTrial

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # thop compares versions with distutils
    import thop

SHAPE = (3, 32, 32)
FACTS = ImageFacts.unnamed(SHAPE[1], in_channels=SHAPE[0])
BATCH = 10


@dataclass(frozen=True)
class Figures:
    """Milliseconds of CPU a network."""

    building_ms: float
    thop_ms: float
    fresh_ms: float
    first_ms: float
    known_ms: float


class Counter:
    """What a study counts with, for one space."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.outlines = Outlines()
        self.exact = ExactCounter()

    def build(self, architecture: Architecture) -> nn.Module:
        """The network, in evaluation mode."""
        return self.space.build(architecture, FACTS, Classes(10)).eval()

    def count(self, architecture: Architecture) -> tuple[int, int]:
        """Multiply-adds and parameters."""
        network = (
            self.outlines.draw(lambda: self.build(architecture))
            if self.space.outlined(architecture)
            else self.build(architecture)
        )
        return self.exact.count(network, SHAPE), count_parameters(network)


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    print(f"{'networks per second':18} {'thop':>6} {'with build':>10}", end="")
    print("".join(f" {name:>14}" for name in ("fresh", "first", "known")))
    rows = []
    for name in arguments.spaces:
        space = installed().create("space", name, {"preset": "small"})
        rows.append(_measure(space, arguments.before, arguments.networks))
        _show(name, rows[-1])
    mean = Figures(*[statistics.fmean(column) for column in zip(*map(astuple, rows), strict=True)])
    _show("all", mean)
    print(f"\nours is {mean.thop_ms / mean.fresh_ms:.1f}x as fast as thop.profile alone,")
    whole = mean.thop_ms + mean.building_ms
    print(f"{whole / mean.fresh_ms:.1f}x as fast as building and thop.profile")
    print(f"(the first {arguments.before} of a space: {mean.thop_ms / mean.first_ms:.1f}x)")


def _arguments() -> argparse.Namespace:
    # `own` is a space of a network that the user has.
    spaces = sorted(set(installed().offered("space")) - {"own"})
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spaces", nargs="+", default=spaces)
    parser.add_argument("--before", type=int, default=100, help="networks that fill the memory")
    parser.add_argument("--networks", type=int, default=40, help="networks that are timed")
    return parser.parse_args()


def _measure(space: SearchSpace, before: int, networks: int) -> Figures:
    counter = Counter(space)
    first_ms = _milliseconds(counter.count, _drawn(space, 0, before))
    fresh = _drawn(space, before, networks)
    rows = [_timed(counter, fresh[i : i + BATCH]) for i in range(0, networks, BATCH)]
    building, theirs, ours, known = map(statistics.median, zip(*rows, strict=True))
    return Figures(building, theirs, ours, first_ms, known)


def _timed(
    counter: Counter, architectures: list[Architecture]
) -> tuple[float, float, float, float]:
    """Milliseconds a network: building, thop's, ours on what was not seen before, and again."""
    built: list[nn.Module] = []
    building = _milliseconds(lambda each: built.append(counter.build(each)), architectures)
    # thop leaves buffers behind in layers that it has no rule for, so it gets its own.
    theirs = _thop_ms(copy.deepcopy(built))
    fresh = _milliseconds(counter.count, architectures)
    known = _milliseconds(counter.count, architectures)
    for architecture, network in zip(architectures, built, strict=True):
        wanted = _flop_counter_mode(network), sum(p.numel() for p in network.parameters())
        assert counter.count(architecture) == wanted, f"counts differ for {architecture}"
    return building, theirs, fresh, known


def _drawn(space: SearchSpace, first: int, count: int) -> list[Architecture]:
    return [space.suggest(RandomTrial(seed)) for seed in range(first, first + count)]


def _thop_ms(networks: list[nn.Module]) -> float:
    image = torch.zeros(1, *SHAPE)
    return _milliseconds(lambda n: thop.profile(n, (image,), verbose=False), networks)


def _flop_counter_mode(network: nn.Module) -> int:
    network.eval()
    with torch.no_grad(), visible_attention(), FlopCounterMode(display=False) as mode:
        network(torch.zeros(1, *SHAPE))
    network.train()
    return int(mode.get_total_flops()) // 2


def _milliseconds(count: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Of CPU, for one item, on average."""
    gc.disable()
    try:
        start = time.process_time_ns()
        for item in items:
            count(item)
        return (time.process_time_ns() - start) / 1e6 / len(items)
    finally:
        gc.enable()


def _show(name: str, figures: Figures) -> None:
    columns = (figures.fresh_ms, figures.first_ms, figures.known_ms)
    ours = " ".join(f"{1000 / ms:6.0f} ({figures.thop_ms / ms:4.1f}x)" for ms in columns)
    whole = 1000 / (figures.thop_ms + figures.building_ms)
    print(f"{name:18} {1000 / figures.thop_ms:6.0f} {whole:10.0f} {ours}", flush=True)


if __name__ == "__main__":
    main()
