"""The first candidates: spread over what is cheap, within the budgets on it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, History, SamplerContext
from orchestrator_guided.evidence import Evidence
from orchestrator_guided.pool import Breeder

__all__ = ["Counted", "Start"]

Floats = NDArray[np.float64]
Counted = tuple[Choices, Mapping[str, float]]

_ROUNDS, _CHILDREN, _PARENTS = 8, 24, 8


@dataclass
class Start:
    """Draws of which the static objectives are counted once, and children of them if need be.

    A draw is taken whose cost lies far from all costs so far: the farthest, or with `far` below 1
    the first that lies so far away, as a share of that.
    """

    context: SamplerContext
    drawn: Sequence[Choices]
    wanted: int
    far: float = 1.0

    def next(self, history: History, evidence: Evidence, breeder: Breeder) -> Choices | None:
        """A draw whose cost lies where no earlier one's does."""
        open_ones = self._open(history, self.counted)
        if not self._static:
            strangers = [choices for choices, _ in open_ones] or breeder.strangers(self.wanted)
            return strangers[0] if strangers else None
        kept = [entry for entry in open_ones if not self.context.violations(entry[1])]
        if not kept:
            return self.allowed(history, breeder)
        before = [values for record in evidence.trainings if (values := record.values)]
        pending = [self.context.counted(proposal.choices) for proposal in history.pending]
        told = self._costs([*before, *(values for values in pending if values)])
        costs = self._costs([values for _, values in kept])
        if not len(told):
            return kept[int(np.argsort(costs, kind="stable")[len(costs) // 2])][0]
        apart = np.abs(costs[:, None] - told[None]).min(1)
        return kept[int(np.argmax(apart >= self.far * apart.max()))][0]

    def allowed(self, history: History, breeder: Breeder) -> Choices | None:
        """One that is new and keeps the budgets; where none is found, one that breaks them least.

        Looked for first among the draws, then among children of those that come nearest.
        """
        found = self.counted
        open_ones = self._open(history, found)
        for _ in range(_ROUNDS):
            kept = [entry for entry in open_ones if not self.context.violations(entry[1])]
            if kept or not found:
                return kept[0][0] if kept else None
            # The latest come first among equals, so that a place that is used up is left behind.
            children = self._of(breeder.children(self._nearest(found), _CHILDREN))
            found, open_ones = [*children, *found], self._open(history, [*open_ones, *children])
        return min(open_ones, key=self._over)[0] if open_ones else None

    @cached_property
    def counted(self) -> list[Counted]:
        """The draws; where few of them keep the budgets, children of those that come nearest."""
        found = self._of(self.drawn)
        breeder = Breeder(self.context, random.Random(self.context.search_seed))
        for _ in range(_ROUNDS):
            kept = [entry for entry in found if not self.context.violations(entry[1])]
            if len(kept) >= self.wanted or not found:
                break
            found += self._of(breeder.children(self._nearest(found), _CHILDREN))
        return found

    @property
    def _static(self) -> bool:
        """Whether anything is known before it is paid for."""
        return any(values for _, values in self.counted)

    def _nearest(self, found: Sequence[Counted]) -> list[Choices]:
        return [choices for choices, _ in sorted(found, key=self._over)[:_PARENTS]]

    def _open(self, history: History, found: Sequence[Counted]) -> list[Counted]:
        return [e for e in found if not history.knows(self.context.draw(e[0]))]

    def _of(self, pool: Sequence[Choices]) -> list[Counted]:
        told = [(choices, self.context.counted(choices)) for choices in pool]
        return [(choices, values) for choices, values in told if values is not None]

    def _over(self, entry: Counted) -> float:
        """By how much budgets are broken, as a share of what is allowed."""
        budgets, over = self.context.budgets, self.context.violations(entry[1])
        return sum(
            x / (abs(budgets[n].max or budgets[n].min or 0.0) or 1.0) for n, x in over.items()
        )

    def _costs(self, values: Sequence[Mapping[str, float]]) -> Floats:
        """(n,) the leading static objective on a scale of its own."""
        first = self._leading
        found = np.array([value[first] for value in values if first in value], dtype=np.float64)
        return np.log(np.maximum(found, 1e-12)) if (found > 0).all() else found

    @property
    def _leading(self) -> str:
        """The first that is searched for, else the first that is known at all."""
        names = list(self.counted[0][1])
        searched = [axis.name for axis in self.context.axes if axis.name in names]
        return (searched or names)[0]
