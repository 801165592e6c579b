"""What a search's records come to, counted as they come."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.analysis.pareto import GrowingFront
from orchestrator.contracts.objective import Axis
from orchestrator.records import OUTCOMES, Outcome, Record

__all__ = ["Ledger"]


class Ledger:
    """Counts, front, hypervolume and bests of a growing list of records.

    Each record costs one comparison with the front, however many there were: the figures are
    those that counting all of them anew would give. What an earlier run paid for is on the front
    and among the bests, and counted apart.
    """

    def __init__(self, axes: Sequence[Axis], records: Sequence[Record] = ()) -> None:
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.paid = 0
        # Candidates that were proposed, each of which may have brought variants of its network.
        self.trainings = 0
        # Those that earlier runs had trained, which are told of apart.
        self.earlier = 0
        self.feasible: list[Record] = []
        # Axis → the best value of a feasible candidate.
        self.best: dict[str, float] = {}
        self._axes = axes
        self._count = 0
        self._front = GrowingFront(axes)
        for record in records:
            self.add(record)

    def __len__(self) -> int:
        return self._count

    def add(self, record: Record) -> None:
        """Count one record more."""
        self._count += 1
        self.paid += record.paid
        trained = record.network is None
        if record.earlier:
            self.earlier += trained
        else:
            self.counts[record.outcome] += 1
            self.trainings += trained
        if record.outcome != "feasible":
            return
        self.feasible.append(record)
        self._front.add(record.values)
        for axis in self._axes:
            if axis.name in record.values:
                value, known = record.values[axis.name], self.best.get(axis.name)
                better = known is None or axis.sign * (value - known) > 0
                self.best |= {axis.name: value} if better else {}

    @property
    def front(self) -> list[Record]:
        """The feasible candidates that no other dominates, best first on the first axis."""
        return [self.feasible[index] for index in self._front.members]

    @property
    def front_size(self) -> int:
        """How many they are."""
        return len(self._front.members)

    @property
    def hypervolume(self) -> float:
        """Of the feasible candidates, in [0, 1]."""
        return self._front.hypervolume
