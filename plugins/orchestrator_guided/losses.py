"""Objectives as losses: small is good, and what is modelled is their logarithm where it can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, nan

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from orchestrator import Axis, Budget

__all__ = ["Loss", "losses_of"]

Floats = NDArray[np.float64]

# Of the distance from the ideal: what is better than this counts as this good.
_LEAST = 1e-4


@dataclass(frozen=True)
class Loss:
    """One axis.

    The loss of a share such as accuracy is its distance from the ideal, that of what is minimised
    its value. Both are modelled by their logarithm: twice the error, twice the milliseconds. What
    has neither a natural zero is modelled as it is.
    """

    axis: Axis

    @cached_property
    def logarithmic(self) -> bool:
        """Whether the loss has a natural zero."""
        axis = self.axis
        return (axis.direction == "maximize" and axis.unit == "share") or (
            axis.direction == "minimize" and axis.best >= 0
        )

    @property
    def worst(self) -> float:
        """The reference's loss, beyond which nothing counts."""
        return self.of(self.axis.reference)

    @cached_property
    def width(self) -> float:
        """The distance from the reference to the ideal, in which volumes are measured."""
        return abs(self.axis.reference - self.axis.best)

    def of(self, value: float) -> float:
        """A value's loss."""
        axis = self.axis
        if not self.logarithmic:
            return -axis.sign * value
        loss = axis.best - value if axis.direction == "maximize" else value
        return max(loss, _LEAST * self.width)

    def modelled(self, losses: Floats) -> Floats:
        """What a process is fitted to."""
        return np.log(losses) if self.logarithmic else losses

    def told(self, modelled: Floats) -> Floats:
        """The inverse: the median loss of a modelled one."""
        return np.exp(modelled) if self.logarithmic else modelled

    def known(self, values: Mapping[str, float]) -> float:
        """The loss in a candidate's values; NaN where the objective is not among them."""
        value = values.get(self.axis.name)
        return nan if value is None or not isfinite(value) else self.of(value)

    def within(self, budget: Budget, mean: Floats, deviation: Floats) -> Floats:
        """The logarithm of the probability (n,) that a modelled loss keeps a budget."""
        found = np.zeros(len(mean))
        for limit, is_maximum in ((budget.max, True), (budget.min, False)):
            if limit is not None:
                apart = (self.modelled(np.array([self.of(limit)]))[0] - mean) / deviation
                # A loss below its bound keeps the maximum of what is minimised, and the minimum of
                # what is maximised.
                small_is_kept = (self.axis.direction == "minimize") == is_maximum
                found += log_ndtr(apart if small_is_kept else -apart)
        return found


def losses_of(
    axes: Sequence[Axis], budgets: Mapping[str, Budget], static: Sequence[str]
) -> list[Loss]:
    """Of each axis, then of each objective that has a budget alone and is known only when paid."""
    named = {axis.name for axis in axes}.union(static)
    limited = [Axis(name, "", "minimize", 1.0) for name in budgets if name not in named]
    return [Loss(axis) for axis in (*axes, *limited)]
