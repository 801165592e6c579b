"""Parameters and multiply-adds of a search's candidates: our counters against plain thop.profile.

    python benchmarks/static_objectives.py [--spaces A B] [--before 100] [--networks 30]

For each space a counter first counts `before` drawn networks, as it would have in a search. Then
`networks` fresh ones are counted by thop and by us in turn, so that both meet the same noise. A
network's time is the smaller of two runs for both; ours is given a fresh copy of its memory for
the second, so that it does not know the network from the first. "again" counts the same networks
once more. Every figure of ours is checked against torch's FlopCounterMode.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Figures:
    """Milliseconds a network."""

    first_ms: float
    thop_ms: float
    fresh_ms: float
    again_ms: float


def main() -> None:
    """Print a line a space and the ratio over all."""
    arguments = _arguments()
    torch.set_num_threads(1)
    print(f"{'space':20} {'networks/s: thop':>17} {'ours':>7} {'again':>7} {'ratio':>7}")
    rows = []
    for name in arguments.spaces:
        space = installed().create("space", name, {"preset": "small"})
        rows.append(_measure(space, arguments.before, arguments.networks))
        _show(name, rows[-1])
    mean = Figures(*[statistics.fmean(column) for column in zip(*map(_values, rows), strict=True)])
    _show("all", mean)
    print(f"\n{mean.thop_ms / mean.fresh_ms:.1f}× plain thop on networks never seen before,")
    print(f"{mean.thop_ms / mean.again_ms:.1f}× on known ones (a study resumed, a pruned twin);")
    print(f"{mean.thop_ms / mean.first_ms:.1f}× over the {arguments.before} that fill the memory.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spaces", nargs="+", default=sorted(installed().offered("space")))
    parser.add_argument("--before", type=int, default=100, help="networks that fill the memory")
    parser.add_argument("--networks", type=int, default=30, help="networks that are timed")
    return parser.parse_args()


def _measure(space: SearchSpace, before: int, networks: int) -> Figures:
    counter = ExactCounter()
    drawn = _draw(space, before + networks)
    first = [_milliseconds(lambda n=n: _ours(counter, n)) for n in drawn[:before]]
    theirs, fresh, again = [], [], []
    for network in drawn[before:]:
        twin = copy.deepcopy(counter.__dict__)
        theirs.append(min(_milliseconds(lambda: _thop(network)) for _ in range(2)))
        once = _milliseconds(lambda: _ours(counter, network))
        counter.__dict__ = twin
        fresh.append(min(once, _milliseconds(lambda: _ours(counter, network))))
        again.append(min(_milliseconds(lambda: _ours(counter, network)) for _ in range(2)))
        assert counter.count(network, SHAPE) == _flop_counter_mode(network)
    return Figures(*map(statistics.fmean, (first, theirs, fresh, again)))
