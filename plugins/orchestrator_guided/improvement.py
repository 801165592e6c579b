"""By how much a candidate can be expected to add to the hypervolume, in closed form.

What the front leaves undominated below the reference is cut into boxes. In a box the expected
improvement is a product over objectives, as each has a process of its own: of a known loss it is
the length that it leaves, of a normal or log-normal one an integral of its distribution (Emmerich,
Deutz and Klinkenberg 2011, doi 10.1109/CEC.2011.5949880).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["Belief", "Boxes", "layer", "nondominated"]

Floats = NDArray[np.float64]

# With more objectives a point of the front makes more boxes; so many points are kept then.
_MOST_POINTS = {1: 1, 2: 400, 3: 48}
_MOST_OF_MANY = 14


@dataclass(frozen=True)
class Belief:
    """What is believed of one loss of some candidates: (n,) each.

    `deviation` is None for what is known. Of a `logarithmic` loss both are of its logarithm.
    """

    mean: Floats
    deviation: Floats | None = None
    logarithmic: bool = False

    def below(self, bounds: Floats) -> Floats:
        """E[max(0, bound − loss)] (n, bounds)."""
        if self.deviation is None:
            loss = np.exp(self.mean) if self.logarithmic else self.mean
            left: Floats = np.maximum(0.0, bounds[None] - loss[:, None])
            return left
        mean, deviation = self.mean[:, None], self.deviation[:, None]
        if not self.logarithmic:
            apart = (bounds[None] - mean) / deviation
            density = np.exp(-0.5 * apart**2) / np.sqrt(2 * np.pi)
            normal: Floats = (bounds[None] - mean) * ndtr(apart) + deviation * density
            return normal
        with np.errstate(divide="ignore"):
            apart = (np.log(np.maximum(bounds, 0.0))[None] - mean) / deviation
        tail = np.exp(mean + 0.5 * deviation**2) * ndtr(apart - deviation)
        found: Floats = np.maximum(0.0, bounds[None] * ndtr(apart) - tail)
        return found

    def rows(self, chosen: NDArray[np.int64]) -> Belief:
        """Of some candidates."""
        deviation = None if self.deviation is None else self.deviation[chosen]
        return Belief(self.mean[chosen], deviation, self.logarithmic)


class Boxes:
    """The undominated part below `worst` (losses, (k,)), given a front (n, k)."""

    def __init__(self, front: Floats, worst: Floats) -> None:
        inside = front[(front < worst).all(1)]
        kept = _thinned(nondominated(inside), worst)
        boxes = np.array(list(_boxes(kept, worst))).reshape(-1, len(worst), 2)
        self._bounds, self._lower, self._upper = [], [], []
        for axis in range(len(worst)):
            bounds, places = np.unique(boxes[:, axis], return_inverse=True)
            places = places.reshape(-1, 2)
            self._bounds.append(bounds)
            self._lower.append(places[:, 0])
            self._upper.append(places[:, 1])
        self._scale = float(np.prod(worst)) if (worst > 0).all() else 1.0

    def expected(self, beliefs: Sequence[Belief]) -> Floats:
        """The expected improvement (n,) of candidates of which this is believed, a loss each."""
        total: Floats | None = None
        for belief, bounds, lower, upper in zip(
            beliefs, self._bounds, self._lower, self._upper, strict=True
        ):
            finite = np.where(np.isfinite(bounds), bounds, 0.0)
            below = np.where(np.isfinite(bounds), belief.below(finite), 0.0)
            length = below[:, upper] - below[:, lower]
            total = length if total is None else total * length
        assert total is not None
        found: Floats = total.sum(1) / self._scale
        return found


def nondominated(points: Floats) -> Floats:
    """Those of (n, k) that no other dominates, each once."""
    left = np.unique(points, axis=0)
    kept = []
    while len(left):
        first = left[np.argmin(left.sum(1))]
        kept.append(first)
        left = left[(left < first).any(1)]
    return np.array(kept).reshape(-1, points.shape[1])


def layer(points: Floats) -> NDArray[np.int64]:
    """Where the non-dominated ones of (n, k) are; of equal ones the first."""
    left, kept = np.arange(len(points)), list[int]()
    while len(left):
        first = left[np.argmin(points[left].sum(1))]
        kept.append(int(first))
        left = left[(points[left] < points[first]).any(1)]
    return np.array(sorted(kept), dtype=np.int64)


def _thinned(front: Floats, worst: Floats) -> Floats:
    """As many as can be cut into boxes: the best of each objective, and those far from others."""
    most = _MOST_POINTS.get(len(worst), _MOST_OF_MANY)
    if len(front) <= most:
        return front
    scaled = front / np.maximum(np.ptp(front, axis=0), 1e-12)
    chosen = list(dict.fromkeys(int(i) for i in front.argmin(0)))
    apart = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in chosen], axis=0)
    while len(chosen) < most:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, ((scaled - scaled[chosen[-1]]) ** 2).sum(1))
    return front[chosen]


def _boxes(front: Floats, worst: Floats) -> Iterator[list[tuple[float, float]]]:
    """Slabs between the values of the last loss, each cut by what is no worse there."""
    if len(worst) == 1:
        yield [(-np.inf, float(front.min()) if len(front) else float(worst[0]))]
        return
    levels = [-np.inf, *np.unique(front[:, -1]), float(worst[-1])]
    for low, high in pairwise(levels):
        better = nondominated(front[front[:, -1] <= low][:, :-1])
        for box in _boxes(better, worst[:-1]):
            yield [*box, (float(low), float(high))]
