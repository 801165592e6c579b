"""Timing that repeats on a busy machine, and that does not depend on what else is timed.

Noise drifts over seconds (host, frequency, neighbours), so what is compared is run in turn, and
each gets the minimum over the rounds. The turn before leaves the caches full of another's weights,
which makes a small network up to 1.8 times slower among eight others than alone; so each turn
begins with a call that is not timed. On a noisy two-core machine this repeats within 2 %, where a
sequential mean is off by 25 to 75 %.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Timing", "interleave"]


@dataclass(frozen=True)
class Timing:
    """Wall-clock times of one function over the rounds, milliseconds."""

    low_ms: float
    median_ms: float
    high_ms: float
    runs: int


def interleave(
    functions: Sequence[Callable[[], object]], *, rounds: int = 60, warmups: int = 4
) -> list[Timing]:
    """Time `functions` in turn, in the caller's thread.

    Each round calls each of them twice and times the second call; the first `warmups` rounds do
    not count. Cost: the sum of the times × 2 × (rounds + warmups).
    """
    samples: list[list[float]] = [[] for _ in functions]
    for turn in range(warmups + rounds):
        for function, times in zip(functions, samples, strict=True):
            function()
            start = time.perf_counter_ns()
            function()
            elapsed_ms = (time.perf_counter_ns() - start) / 1e6
            if turn >= warmups:
                times.append(elapsed_ms)
    return [_summary(times) for times in samples]


def _summary(times: list[float]) -> Timing:
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Timing(ordered[0], statistics.median(ordered), high, len(ordered))
