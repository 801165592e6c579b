"""The first candidates: spread over what is cheap, within the budgets on it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, History, SamplerContext
from orchestrator.errors import CandidateError
from orchestrator_guided.evidence import Evidence
from orchestrator_guided.pool import Breeder

__all__ = ["Start", "counted"]

Floats = NDArray[np.float64]
Counted = tuple[Choices, Mapping[str, float]]

_ROUNDS, _CHILDREN, _PARENTS = 8, 24, 8


@dataclass
class Start:
    """Draws of which the static objectives are counted once, and children of them if need be."""

    context: SamplerContext
    drawn: Sequence[Choices]
    wanted: int

    def next(self, history: History, evidence: Evidence, breeder: Breeder) -> Choices | None:
        """A draw whose cost lies where no earlier one's does."""
        open_ones = [entry for entry in self._counted if not self._is_known(history, entry[0])]
        if not open_ones or not open_ones[0][1]:
            strangers = [choices for choices, _ in open_ones] or breeder.strangers(self.wanted)
            return strangers[0] if strangers else None
        kept = [entry for entry in open_ones if not self.context.violations(entry[1])]
        if not kept:
            return min(open_ones, key=self._over)[0]
        before = [values for record in evidence.trainings if (values := record.values)]
        pending = [counted(self.context, proposal.choices) for proposal in history.pending]
        told = self._costs([*before, *(values for values in pending if values)])
        costs = self._costs([values for _, values in kept])
        if not len(told):
            return kept[int(np.argsort(costs, kind="stable")[len(costs) // 2])][0]
        return kept[int(np.abs(costs[:, None] - told[None]).min(1).argmax())][0]

    def allowed(self, history: History) -> Choices | None:
        """One that is new and keeps the budgets, else the one that breaks them least."""
        open_ones = [entry for entry in self._counted if not self._is_known(history, entry[0])]
        return min(open_ones, key=self._over)[0] if open_ones else None

    @cached_property
    def _counted(self) -> list[Counted]:
        """The draws; where few of them keep the budgets, children of those that come nearest."""
        found = self._of(self.drawn)
        breeder = Breeder(self.context, random.Random(self.context.search_seed))
        for _ in range(_ROUNDS):
            kept = [entry for entry in found if not self.context.violations(entry[1])]
            if len(kept) >= self.wanted or not found:
                break
            parents = sorted(found, key=self._over)[:_PARENTS]
            found += self._of(breeder.children([choices for choices, _ in parents], _CHILDREN))
        return found

    def _of(self, pool: Sequence[Choices]) -> list[Counted]:
        told = [(choices, counted(self.context, choices)) for choices in pool]
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
        names = list(self._counted[0][1])
        searched = [axis.name for axis in self.context.axes if axis.name in names]
        return (searched or names)[0]

    def _is_known(self, history: History, choices: Choices) -> bool:
        return history.knows(self.context.draw(choices))


def counted(context: SamplerContext, choices: Choices) -> dict[str, float] | None:
    """Exact static objectives; None where there is no such network."""
    try:
        return dict(context.static(choices))
    except CandidateError:
        return None
