"""What each part of a network is worth and what it costs, learnt from networks that were told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, Record, SamplerContext
from orchestrator_papers.aims import Aims

__all__ = ["Importance", "Linear"]

Floats = NDArray[np.float64]

# How strongly weights are drawn to zero, as a share of the largest eigenvalue.
_RIDGES = tuple(10.0**power for power in range(-6, 2))


@dataclass(frozen=True)
class Linear:
    """A mean and a weight a column, (columns,)."""

    mean: float
    weights: Floats

    @classmethod
    def fitted(cls, rows: Floats, values: Floats) -> Self:
        """Ridge regression of values (n,) on rows (n, columns).

        Its strength is that of the least generalised cross-validation (Golub, Heath and Wahba
        1979): n·|residuals|² / (n - degrees of freedom)².
        """
        if len(values) < 2:
            return cls(float(values.mean()) if len(values) else 0.0, np.zeros(rows.shape[1]))
        centre = rows.mean(0)
        left, scales, right = np.linalg.svd(rows - centre, full_matrices=False)
        aimed = left.T @ (values - values.mean())
        beyond = float(((values - values.mean()) ** 2).sum() - (aimed**2).sum())

        def judged(ridge: float) -> float:
            kept = scales**2 / (scales**2 + ridge)
            error = beyond + float((((1 - kept) * aimed) ** 2).sum())
            return error / max(len(values) - 1 - float(kept.sum()), 1e-9) ** 2

        best = min((max(scales[0] ** 2, 1e-12) * share for share in _RIDGES), key=judged)
        weights = right.T @ (scales / (scales**2 + best) * aimed)
        return cls(float(values.mean() - centre @ weights), weights)

    def of(self, row: Floats) -> float:
        """What it foretells; columns that are new count for nothing."""
        return self.mean + float(row[: len(self.weights)] @ self.weights)


@dataclass(frozen=True)
class Importance:
    """Accuracy and cost of a network as sums over its choices.

    `cost` is None where costs are counted: a static objective is known exactly.
    """

    context: SamplerContext
    aims: Aims
    accuracy: Linear
    cost: Callable[[Choices], float] | None

    @classmethod
    def learnt(cls, context: SamplerContext, aims: Aims, records: Sequence[Record]) -> Self:
        """From the records of networks that were trained, and measured."""
        own = [record for record in records if record.network is None]
        judged = [record for record in own if aims.quality.name in record.values]
        accuracy = _fitted(context, judged, [r.values[aims.quality.name] for r in judged])
        cost = None if aims.cost.name == aims.guide else _table(context, aims, own)
        return cls(context, aims, accuracy, cost)

    def quality(self, choices: Choices) -> float:
        """The accuracy foretold."""
        return self.accuracy.of(self.context.encode(choices))

    def spent(self, choices: Choices) -> float:
        """The cost, counted or foretold, in the unit of its objective.

        Not a number where there is no such network.
        """
        if self.cost is not None:
            return self.cost(choices)
        values = self.context.counted(choices)
        return float("nan") if values is None else values[self.aims.guide]


def _table(
    context: SamplerContext, aims: Aims, records: Sequence[Record]
) -> Callable[[Choices], float]:
    """Measured costs: a line in the static objective, and what each choice adds to it."""
    timed = [r for r in records if aims.cost.name in r.values]
    timed = [r for r in timed if not aims.guide or aims.guide in r.values]
    costs = np.array([record.values[aims.cost.name] for record in timed])
    sizes = np.array([record.values.get(aims.guide, 0.0) for record in timed])
    line = Linear.fitted(sizes[:, None], costs)
    rest = _fitted(context, timed, costs - line.mean - sizes * line.weights[0])

    def told(choices: Choices) -> float:
        values = context.counted(choices) if aims.guide else {}
        size = float("nan") if values is None else values.get(aims.guide, 0.0)
        return line.of(np.array([size])) + rest.of(context.encode(choices))

    return told


def _fitted(
    context: SamplerContext, records: Sequence[Record], values: Sequence[float] | Floats
) -> Linear:
    rows = [context.encode(record.choices) for record in records]
    wide = max((len(row) for row in rows), default=0)
    padded = np.array([np.pad(row, (0, wide - len(row))) for row in rows]).reshape(len(rows), wide)
    return Linear.fitted(padded, np.asarray(values, dtype=np.float64))
