"""How well one figure ranks what another one ranks: Kendall's tau, raw and at equal cost.

An estimate of accuracy is only as good as the order it puts architectures in. But a larger
network is mostly the better one, so an estimate may rank well by counting multiply-adds, which
the search minimises anyway; what it knows beyond that is its tau at given multiply-adds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["kendall", "kendall_at"]

Values = NDArray[np.float64]

# Residuals are differences of floats: closer than this share of the figure's spread is a tie.
_TIE = 1e-9


def kendall(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b of two figures of the same things, in [-1, 1]; 1 is the same order.

    Ties count neither way and shrink the denominator (Kendall 1945, "The treatment of ties in
    ranking problems"). Pairs with a value that is not finite take no part. None where nothing can
    be said: below three points, or where one figure is the same for all. Cost: O(n²).
    """
    first, second = _finite(a, b)
    return _tau(first, second) if len(first) >= 3 else None


def kendall_at(a: Sequence[float], b: Sequence[float], given: Sequence[float]) -> float | None:
    """Tau-b of what is left of `a` and `b` once log(`given`) has explained what it can.

    Both figures are fitted on log(`given`), say multiply-adds, by least squares, and the
    residuals are ranked. Points with a value that is not finite or a `given` that is not positive
    take no part. None below four points (the residuals of three lie on one line, so their tau is
    ±1 whatever they are), or where `given` explains one figure entirely.
    """
    positive = [value if value > 0 else math.nan for value in given]
    first, second, third = _finite(a, b, positive)
    if len(third) < 4:
        return None
    logs = np.log(third)
    return _tau(_residuals(first, logs), _residuals(second, logs))


def _finite(*figures: Sequence[float]) -> Values:
    """The figures (k, n) without the columns that hold a value that is not finite."""
    table = np.array([list(figure) for figure in figures], dtype=np.float64)
    return table[:, np.isfinite(table).all(axis=0)]


def _residuals(values: Values, logs: Values) -> Values:
    """In units of the values' spread, rounded so that ties stay ties."""
    values, logs = values - values.mean(), logs - logs.mean()
    spread = float(np.abs(values).max())
    variation = float(logs @ logs)
    if spread == 0 or variation <= _TIE**2 * len(logs):
        return values
    values = values / spread
    rest = values - logs * float(logs @ values) / variation
    rounded: Values = np.round(rest / _TIE)
    return rounded


def _tau(a: Values, b: Values) -> float | None:
    upper = np.triu_indices(len(a), 1)
    first = np.sign(a[:, None] - a[None, :])[upper]
    second = np.sign(b[:, None] - b[None, :])[upper]
    untied = float(np.count_nonzero(first)) * float(np.count_nonzero(second))
    return float(first @ second) / math.sqrt(untied) if untied else None
