"""By how much a candidate can be expected to add to the hypervolume, in closed form.

What the front leaves undominated below the reference is cut into boxes. In a box the expected
improvement is a product over objectives, as each has a process of its own: of a known loss it is
the length that it leaves, of a normal or log-normal one an integral of its distribution (Emmerich,
Deutz and Klinkenberg 2011, doi 10.1109/CEC.2011.5949880).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["Belief", "Boxes", "layer", "nondominated", "worthiest"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

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
        boxes = _boxes(kept, worst)
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


def layer(points: Floats) -> Places:
    """Where the non-dominated ones of (n, k) are; of equal ones the first."""
    left, kept = np.arange(len(points)), list[int]()
    # A row a loss: comparing long rows costs a fraction of comparing many short ones.
    losses, sums = np.ascontiguousarray(points.T), points.sum(1)
    while len(left):
        first = int(sums.argmin())
        kept.append(int(left[first]))
        better = np.zeros(len(left), dtype=bool)
        for loss in losses:
            better |= loss < loss[first]
        left, losses, sums = left[better], losses[:, better], sums[better]
    return np.array(sorted(kept), dtype=np.int64)


def worthiest(kept: Places, losses: Floats, axes: int, most: int) -> Places:
    """At most so many of those at `kept` in `losses` (n, k), of which the first `axes` count.

    Two thirds lie near the front, some are the latest, the rest are taken at random.
    """
    if len(kept) <= most:
        return kept
    near: list[int] = []
    left = kept[np.isfinite(losses[kept]).all(1)]
    while len(left) and len(near) < 2 * most // 3:
        best = layer(losses[left][:, :axes])
        near += list(left[best])
        left = np.delete(left, best)
    chosen = [*near[: 2 * most // 3], *kept[-most // 12 :]]
    rest = np.setdiff1d(kept, chosen)
    rng = np.random.default_rng(len(kept))
    some = rng.permutation(rest)[: max(0, most - len(set(chosen)))]
    return np.unique([*chosen, *some])


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


def _boxes(front: Floats, worst: Floats) -> Floats:
    """(boxes, k, 2): slabs between the values of the last loss, each cut by what is no worse there.

    Two losses need no slabs, as theirs are the steps of a staircase.
    """
    if len(worst) == 1:
        return np.array([[[-np.inf, front.min(initial=worst[0])]]])
    if len(worst) == 2:
        return _steps(front, worst)
    levels = [-np.inf, *np.unique(front[:, -1]), float(worst[-1])]
    found = []
    for low, high in pairwise(levels):
        better = front[front[:, -1] <= low][:, :-1]
        # Steps are made of those that count; a slab for each that does not would be one too many.
        better = nondominated(better) if better.shape[1] > 2 else better
        across = _boxes(better, worst[:-1])
        slab = np.broadcast_to([low, high], (len(across), 1, 2))
        found.append(np.concatenate([across, slab], axis=1))
    return np.concatenate(found)


def _steps(front: Floats, worst: Floats) -> Floats:
    """(boxes, 2, 2) below each step, from the least of the last loss upwards."""
    along = front[np.lexsort((front[:, 0], front[:, 1]))]
    before = np.minimum.accumulate(np.concatenate([[np.inf], along[:, 0]]))[:-1]
    stairs = along[along[:, 0] < before]
    heights = np.concatenate([[-np.inf], stairs[:, 1], worst[1:]])
    widths = np.concatenate([worst[:1], stairs[:, 0]])
    found = np.full((len(widths), 2, 2), -np.inf)
    found[:, 0, 1], found[:, 1, 0], found[:, 1, 1] = widths, heights[:-1], heights[1:]
    return found
