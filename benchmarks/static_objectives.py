"""Parameters and multiply-adds of a search's candidates: our counters against plain thop.profile.

    python benchmarks/static_objectives.py [--spaces A B] [--before 100] [--networks 60]

For each space our counter first counts `before` drawn networks, as it would have in a search. Then
`networks` others, already built, are counted in batches of ten, by thop and by us in turn: as when
a sampler's proposals are sifted by their budgets. "fresh" is ours on networks that it never saw,
"cold" the same with a run of thop before each network, which empties the processor's caches, and
"known" ours on networks that it counted before. Figures are medians over the batches. Garbage is
not collected while a clock runs, as in timeit. Every figure of ours is checked against torch's
FlopCounterMode.
"""

from __future__ import annotations

import argparse
import copy
import gc
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import astuple, dataclass

import torch
from orchestrator_objectives.counting import ExactCounter, visible_attention
from orchestrator_objectives.params import count_parameters
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from orchestrator import Classes, ImageFacts, SearchSpace
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # thop compares versions with distutils
    import thop

SHAPE = (3, 32, 32)


BATCH = 10


@dataclass(frozen=True)
class Figures:
    """Milliseconds a network."""

    filling_ms: float
    thop_ms: float
    fresh_ms: float
    cold_ms: float
    known_ms: float


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    print(f"{'networks per second':18} {'thop':>6} {'fresh':>14} {'cold':>14} {'known':>14}")
    rows = []
    for name in arguments.spaces:
        space = installed().create("space", name, {"preset": "small"})
        rows.append(_measure(space, arguments.before, arguments.networks))
        _show(name, rows[-1])
    mean = Figures(*[statistics.fmean(column) for column in zip(*map(astuple, rows), strict=True)])
    _show("all", mean)
    print(f"\nours is {mean.thop_ms / mean.fresh_ms:.1f}x as fast as thop.profile")
    print(f"(the first {arguments.before} of a space: {mean.thop_ms / mean.filling_ms:.1f}x)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spaces", nargs="+", default=sorted(installed().offered("space")))
    parser.add_argument("--before", type=int, default=100, help="networks that fill the memory")
    parser.add_argument("--networks", type=int, default=60, help="networks that are timed")
    return parser.parse_args()


def _measure(space: SearchSpace, before: int, networks: int) -> Figures:
    counter = ExactCounter()
    filling = [_ours_ms(counter, [network]) for network in _drawn(space, 0, before)]
    fresh = _drawn(space, before, networks)
    rows = [_timed(counter, fresh[i : i + BATCH]) for i in range(0, networks, BATCH)]
    cold = [_cold_ms(counter, network) for network in _drawn(space, before + networks, networks)]
    theirs, ours, known = map(statistics.median, zip(*rows, strict=True))
    return Figures(statistics.fmean(filling), theirs, ours, statistics.median(cold), known)


def _timed(counter: ExactCounter, networks: list[nn.Module]) -> tuple[float, float, float]:
    """Milliseconds a network: thop's, ours on networks not seen before, and once they are known."""
    # thop leaves buffers behind in layers that it has no rule for, so it gets its own.
    theirs = _thop_ms(copy.deepcopy(networks))
    fresh = _ours_ms(counter, networks)
    known = _ours_ms(counter, networks)
    for network in networks:
        assert counter.count(network, SHAPE) == _flop_counter_mode(network), "MACs differ"
        assert count_parameters(network) == sum(p.numel() for p in network.parameters())
    return theirs, fresh, known


def _cold_ms(counter: ExactCounter, network: nn.Module) -> float:
    _thop_ms([copy.deepcopy(network)])
    return _ours_ms(counter, [network])


def _drawn(space: SearchSpace, first: int, count: int) -> list[nn.Module]:
    trials = [RandomTrial(seed) for seed in range(first, first + count)]
    facts = ImageFacts.unnamed(SHAPE[1], in_channels=SHAPE[0])
    return [space.build(space.suggest(trial), facts, Classes(10)) for trial in trials]


def _ours_ms(counter: ExactCounter, networks: list[nn.Module]) -> float:
    return _milliseconds(lambda n: (counter.count(n, SHAPE), count_parameters(n)), networks)


def _thop_ms(networks: list[nn.Module]) -> float:
    image = torch.zeros(1, *SHAPE)
    return _milliseconds(lambda n: thop.profile(n, (image,), verbose=False), networks)


def _flop_counter_mode(network: nn.Module) -> int:
    network.eval()
    with torch.no_grad(), visible_attention(), FlopCounterMode(display=False) as mode:
        network(torch.zeros(1, *SHAPE))
    network.train()
    return int(mode.get_total_flops()) // 2


def _milliseconds(count: Callable[[nn.Module], object], networks: list[nn.Module]) -> float:
    """Of one network, on average."""
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for network in networks:
            count(network)
        return (time.perf_counter_ns() - start) / 1e6 / len(networks)
    finally:
        gc.enable()


def _show(name: str, figures: Figures) -> None:
    columns = (figures.fresh_ms, figures.cold_ms, figures.known_ms)
    ours = " ".join(f"{1000 / ms:6.0f} ({figures.thop_ms / ms:4.1f}x)" for ms in columns)
    print(f"{name:18} {1000 / figures.thop_ms:6.0f} {ours}")


if __name__ == "__main__":
    main()
