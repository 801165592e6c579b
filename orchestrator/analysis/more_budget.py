"""What more candidates would buy, from how the hypervolume rose so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.analysis.pareto import GrowingFront
from orchestrator.contracts.objective import Axis
from orchestrator.records import Record

__all__ = ["Gain", "gain_of_doubling", "rise"]

# Of fewer trainings no curve can be read.
_LEAST = 8
_EXPONENTS = (0.25, 0.5, 1.0, 2.0)
# A curve that misses by this much more than the best one may still be the true one.
_DOUBT = 2.0


@dataclass(frozen=True)
class Gain:
    """Hypervolume that as many candidates again would add: least, expected, most."""

    now: float
    least: float
    expected: float
    most: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"Twice as many candidates would raise the hypervolume of {self.now:.3f} by about "
            f"{self.expected:.3f} ({self.least:.3f} to {self.most:.3f}), as its curve goes so far."
        )


def rise(records: Sequence[Record], axes: Sequence[Axis]) -> list[float]:
    """The hypervolume after each training, its variants included.

    What earlier runs knew comes first: it is where the curve begins, and none of its steps.
    """
    front, found = GrowingFront(axes), []
    for record in records:
        if record.outcome == "feasible":
            front.add(record.values)
        if record.earlier:
            continue
        if record.network is None:
            found.append(front.hypervolume)
        elif found:
            found[-1] = front.hypervolume
    return found


def gain_of_doubling(curve: Sequence[float]) -> Gain | None:
    """From a fit of a - b / n^c to the last three quarters; None where there is too little."""
    start = max(1, len(curve) // 4)
    if len(curve) < _LEAST or curve[-1] <= 0:
        return None
    fits = [_fitted(curve, start, c) for c in _EXPONENTS]
    best = min(missed for missed, _ in fits)
    likely = [gain for missed, gain in fits if missed <= _DOUBT * best + 1e-12]
    expected = min(fits)[1]
    return Gain(curve[-1], min(likely), expected, max(likely))


def _fitted(curve: Sequence[float], start: int, exponent: float) -> tuple[float, float]:
    """Squares missed, and what the next as many again add, by one exponent; least squares."""
    places = range(start, len(curve) + 1)
    xs, ys = [n**-exponent for n in places], list(curve[start - 1 :])
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    slope /= sum((a - x) ** 2 for a in xs)
    missed = sum((b - y - slope * (a - x)) ** 2 for a, b in zip(xs, ys, strict=True))
    count = len(curve)
    return missed, max(0.0, slope * ((2 * count) ** -exponent - count**-exponent))
