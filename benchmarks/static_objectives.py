"""Parameters and multiply-adds of a search's candidates: our counters against plain thop.profile.

    python benchmarks/static_objectives.py [--spaces A B] [--before 100] [--networks 30]

For each space our counter first counts `before` drawn networks, as it would have in a search. Then
`networks` others, already built, are counted by thop and by us in turn, three times each, and the
least time counts for both. Three counters of ours live through the same search, so that each meets
a network for the first time. "again" is what the same networks cost once they are known. Garbage
is not collected while a clock runs, as in timeit. Every figure of ours is checked against torch's
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

from orchestrator import SearchSpace
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # thop compares versions with distutils
    import thop

SHAPE = (3, 32, 32)
RUNS = 3


@dataclass(frozen=True)
class Figures:
    """Milliseconds a network."""

    filling_ms: float
    thop_ms: float
    fresh_ms: float
    again_ms: float


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)
    print(f"{'space':18} {'thop/s':>8} {'ours/s':>8} {'ratio':>7} {'again/s':>8} {'ratio':>7}")
    rows = []
    for name in arguments.spaces:
        space = installed().create("space", name, {"preset": "small"})
        rows.append(_measure(space, arguments.before, arguments.networks))
        _show(name, rows[-1])
    mean = Figures(*[statistics.fmean(column) for column in zip(*map(astuple, rows), strict=True)])
    _show("all", mean)
    print(f"\n{mean.thop_ms / mean.fresh_ms:.1f}x plain thop on networks not seen before;")
    print(f"{mean.thop_ms / mean.again_ms:.1f}x on known ones;")
    print(f"{mean.thop_ms / mean.filling_ms:.1f}x on the first {arguments.before} of a space.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spaces", nargs="+", default=sorted(installed().offered("space")))
    parser.add_argument("--before", type=int, default=100, help="networks that fill the memory")
    parser.add_argument("--networks", type=int, default=30, help="networks that are timed")
    return parser.parse_args()


def _measure(space: SearchSpace, before: int, networks: int) -> Figures:
    counters = [ExactCounter() for _ in range(RUNS)]
    filling = []
    for network in _drawn(space, 0, before):
        filling.append(min(_ours_ms(counter, network) for counter in counters))
    rows = [_timed(counters, network) for network in _drawn(space, before, networks)]
    return Figures(statistics.fmean(filling), *map(statistics.fmean, zip(*rows, strict=True)))


def _timed(counters: list[ExactCounter], network: nn.Module) -> tuple[float, float, float]:
    """Milliseconds of thop, of ours on a network not seen before, and of ours once it is known."""
    theirs, fresh = [], []
    image = torch.zeros(1, *SHAPE)
    # thop leaves buffers behind in layers that it has no rule for.
    twin = copy.deepcopy(network)
    for counter in counters:
        theirs.append(_milliseconds(lambda: thop.profile(twin, (image,), verbose=False)))
        fresh.append(_ours_ms(counter, network))
    again = [_ours_ms(counter, network) for counter in counters]
    assert counters[0].count(network, SHAPE) == _flop_counter_mode(network), "MACs differ"
    assert count_parameters(network) == sum(p.numel() for p in network.parameters())
    return min(theirs), min(fresh), min(again)


def _drawn(space: SearchSpace, first: int, count: int) -> list[nn.Module]:
    trials = [RandomTrial(seed) for seed in range(first, first + count)]
    size = {"classes": 10, "in_channels": SHAPE[0], "image_size": SHAPE[1]}
    return [space.build(space.suggest(trial), **size) for trial in trials]


def _ours_ms(counter: ExactCounter, network: nn.Module) -> float:
    return _milliseconds(lambda: (counter.count(network, SHAPE), count_parameters(network)))


def _flop_counter_mode(network: nn.Module) -> int:
    network.eval()
    with torch.no_grad(), visible_attention(), FlopCounterMode(display=False) as mode:
        network(torch.zeros(1, *SHAPE))
    network.train()
    return int(mode.get_total_flops()) // 2


def _milliseconds(function: Callable[[], object]) -> float:
    gc.disable()
    try:
        start = time.perf_counter_ns()
        function()
        return (time.perf_counter_ns() - start) / 1e6
    finally:
        gc.enable()


def _show(name: str, figures: Figures) -> None:
    thop_ms, fresh_ms, again_ms = figures.thop_ms, figures.fresh_ms, figures.again_ms
    print(
        f"{name:18} {1000 / thop_ms:8.0f} {1000 / fresh_ms:8.0f} {thop_ms / fresh_ms:6.1f}x "
        f"{1000 / again_ms:8.0f} {thop_ms / again_ms:6.1f}x"
    )


if __name__ == "__main__":
    main()
