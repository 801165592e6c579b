"""A curve that never falls, through a few known points: from a proxy's score to an accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["MonotoneCurve"]

# Knots stay this far from 0 and 1, so that there is room to rank what lies beyond them.
_MARGIN = 1e-3
# Beyond the last knot at most this share of the knots' range is added, and at least _LEAST.
_SHARE = 0.25
_LEAST = 0.01


@dataclass(frozen=True)
class _Block:
    """Points that isotonic regression gives one value: their number and their means."""

    count: int
    score: float
    accuracy: float

    def joined(self, other: _Block) -> _Block:
        count = self.count + other.count
        mine, others = self.count / count, other.count / count
        score = mine * self.score + others * other.score
        return _Block(count, score, mine * self.accuracy + others * other.accuracy)


class MonotoneCurve:
    """Strictly rising with the score, or strictly falling, always within (0, 1).

    Isotonic regression (pool adjacent violators, e.g. Barlow et al. 1972) gives blocks of equal
    accuracy; straight lines join the blocks' centres rather than their ends, so that no two
    scores tie. Beyond the outer centres the curve goes on by `room`·d/(d + range of the scores),
    d being the distance: a quarter of the mean slope at first, flatter and flatter, never flat.
    """

    def __init__(
        self, scores: Sequence[float], accuracies: Sequence[float], *, rising: bool = True
    ) -> None:
        self._sign = 1.0 if rising else -1.0
        signed = [self._sign * score for score in scores]
        blocks = _pooled(signed, [min(max(a, _MARGIN), 1 - _MARGIN) for a in accuracies])
        self._scores = [block.score for block in blocks]
        self._accuracies = [block.accuracy for block in blocks]
        self._range = (max(signed) - min(signed)) or 1.0

    def __call__(self, score: float) -> float:
        """The accuracy at a score."""
        score *= self._sign
        low, high = self._accuracies[0], self._accuracies[-1]
        wanted = max(_SHARE * (high - low), _LEAST)
        if score > self._scores[-1]:
            return high + min(wanted, 1 - high) * self._part(score - self._scores[-1])
        if score < self._scores[0]:
            return low - min(wanted, low) * self._part(self._scores[0] - score)
        return float(np.interp(score, self._scores, self._accuracies))

    def _part(self, distance: float) -> float:
        return distance / (distance + self._range)


def _pooled(scores: Sequence[float], accuracies: Sequence[float]) -> list[_Block]:
    """Blocks of strictly rising score and accuracy."""
    # Equal scores first become one point: no curve can tell them apart.
    points = [
        _Block(len(same), score, float(np.mean(same)))
        for score in sorted(set(scores))
        for same in [[a for s, a in zip(scores, accuracies, strict=True) if s == score]]
    ]
    blocks: list[_Block] = []
    for point in points:
        blocks.append(point)
        while len(blocks) > 1 and blocks[-2].accuracy >= blocks[-1].accuracy:
            last = blocks.pop()
            blocks[-1] = blocks[-1].joined(last)
    return blocks
