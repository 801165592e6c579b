"""Whether a finalist may be recommended: faster or smaller, and still the same function.

A mark is a warning on a finalist; one that blocks keeps it from being recommended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Comparison", "FileFigures", "Mark", "budget_marks", "compression_marks"]

# Less than this is within what repeated measurements differ by.
NOTABLE = 0.03
# An approximation that answers otherwise more often than this is another function.
LEAST_AGREEMENT = 0.95
MOST_LOST = 0.02


@dataclass(frozen=True)
class Mark:
    """A warning, and whether it keeps a finalist from being recommended."""

    text: str
    blocks: bool


@dataclass(frozen=True)
class FileFigures:
    """What a file costs and what it reached: the leading metric, a share, on the test split."""

    latency_ms: float
    size_bytes: float
    reached: float


@dataclass(frozen=True)
class Comparison:
    """A file before and after compression.

    `agreement` is the share of validation images that the file answers as its exact float form,
    `metric` the name of the leading metric.
    """

    before: FileFigures
    after: FileFigures
    agreement: float
    metric: str = "accuracy"

    @property
    def faster(self) -> bool:
        """By more than measurements differ."""
        return self.after.latency_ms < (1 - NOTABLE) * self.before.latency_ms

    @property
    def smaller(self) -> bool:
        """By as much."""
        return self.after.size_bytes < (1 - NOTABLE) * self.before.size_bytes

    @property
    def lost(self) -> float:
        """What compression cost of the leading metric."""
        return self.before.reached - self.after.reached


def budget_marks(broken: Mapping[str, float]) -> list[Mark]:
    """One for each budget that the shipped file breaks (objective → excess); all block."""
    return [Mark(f"{name} misses its budget by {by:.4g}", True) for name, by in broken.items()]


def compression_marks(compared: Comparison) -> list[Mark]:
    """Whether compression paid, and whether the file is still the same function."""
    return [*_gain(compared), *_function(compared), *_loss(compared)]


def _gain(compared: Comparison) -> Iterator[Mark]:
    if compared.faster:
        return
    if compared.smaller:
        yield Mark("smaller, not faster", False)
    else:
        yield Mark("compression did not pay: no smaller or faster", True)


def _function(compared: Comparison) -> Iterator[Mark]:
    # Written so that NaN blocks too.
    if not compared.agreement >= LEAST_AGREEMENT:
        percent = 100 * compared.agreement
        yield Mark(f"answers as its float network on only {percent:.1f} % of images", True)


def _loss(compared: Comparison) -> Iterator[Mark]:
    if compared.lost > MOST_LOST:
        yield Mark(f"compression cost {100 * compared.lost:.1f} points of {compared.metric}", False)
