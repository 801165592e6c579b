"""Which finished candidates a training is compared with, so that it may end early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrator.config import TrainConfig
from orchestrator.contracts import Axis
from orchestrator.records import Record

__all__ = ["Rivals"]


class Rivals:
    """Keeps, of all finished candidates, those whose curves can still end a training.

    A candidate is given up when `early_stop.rivals` others that cost no more were ahead at the
    same epoch. Where so many cost no more than a rival and were nowhere behind it, they say all
    that it could: it is left out, and what ends early stays the very same. `axes` are the
    objectives that are known before training.
    """

    def __init__(self, axes: Sequence[Axis], train: TrainConfig) -> None:
        self._axes = axes
        stop = train.early_stop
        self._wanted = stop.rivals
        # Epochs, from 0, at which a training may be given up.
        self._epochs = range(max(1, math.ceil(stop.after * train.epochs)) - 1, train.epochs - 1)
        self._seen: list[Record] | None = None
        self._count = 0
        self._told: list[list[Any]] = []
        self._clear()

    def told(self, feasible: list[Record]) -> list[list[Any]]:
        """[values, curve] of each that matters, of a list that grows or is another one."""
        if feasible is not self._seen or len(feasible) < self._count:
            self._clear()
            self._seen = feasible
        for record in feasible[self._count :]:
            self._add(record)
        self._count = len(feasible)
        return self._told

    def _clear(self) -> None:
        self._count, self._told = 0, []
        self._rows = np.empty((0, len(self._axes) + len(self._epochs)))
        self._beaten = np.empty(0, dtype=np.int64)  # how many are nowhere behind each

    def _add(self, record: Record) -> None:
        if not (self._wanted and self._epochs and record.curve):
            return
        row = self._row(record)
        ahead = int((self._rows >= row).all(axis=1).sum())
        if ahead >= self._wanted:
            return
        # Of equal ones only the earlier counts against the later, or both might go.
        behind = (row >= self._rows).all(axis=1) & (row > self._rows).any(axis=1)
        beaten = self._beaten + behind
        kept = beaten < self._wanted
        self._rows = np.vstack([self._rows[kept], row])
        self._beaten = np.append(beaten[kept], ahead)
        # A new list each time: the one before may be on its way to a worker.
        stay = [entry for entry, keep in zip(self._told, kept, strict=True) if keep]
        values = {axis.name: record.values[axis.name] for axis in self._axes}
        self._told = [*stay, [values, list(record.curve)]]

    def _row(self, record: Record) -> Any:
        """Large is good: how cheap it is on each axis, then how far it was at each epoch."""
        curve = record.curve
        costs = [axis.sign * record.values[axis.name] for axis in self._axes]
        return np.array(costs + [curve[e] if e < len(curve) else -math.inf for e in self._epochs])
