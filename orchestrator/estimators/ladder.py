"""The epochs at which trainings of several fidelities pause."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.config import BudgetConfig

__all__ = ["Ladder"]


@dataclass(frozen=True)
class Ladder:
    """After how many epochs candidates are judged, the last of which ends a whole training.

    `kept` is the share of those at a rung that goes on.
    """

    epochs: tuple[int, ...]
    kept: float

    @classmethod
    def of(cls, budget: BudgetConfig, epochs: int) -> Ladder:
        """The ladder of a configuration, for trainings of so many epochs."""
        rungs = {max(1, round(share * epochs)) for share in budget.rungs}
        return cls((*sorted(rung for rung in rungs if rung < epochs), epochs), budget.kept)

    @property
    def share(self) -> float:
        """Of a whole training, what a candidate costs on average."""
        share, before, reached = 0.0, 0, 1.0
        for epoch in self.epochs:
            share += reached * (epoch - before) / self.epochs[-1]
            before, reached = epoch, reached * self.kept
        return share

    def leg(self, done: int) -> int:
        """The epoch that a training goes on to which has done so many."""
        return next(epoch for epoch in self.epochs if epoch > done)
