"""What a search's history says, as arrays: one row for each network that was proposed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, Record, SamplerContext
from orchestrator_guided.losses import Loss

__all__ = ["Coder", "Evidence", "read"]

Floats = NDArray[np.float64]


@dataclass
class Coder:
    """Codes of choices; those of records are made once.

    What was coded before a question was met is padded with zeros, as the contract has it.
    """

    context: SamplerContext
    _known: dict[int, Floats] = field(default_factory=dict)

    def records(self, choices: Sequence[Choices], numbers: Sequence[int]) -> Floats:
        """(n, columns) of candidates by their numbers; what is no question is left out."""
        for chosen, number in zip(choices, numbers, strict=True):
            if number not in self._known:
                self._known[number] = self.context.encode(self.context.complete(chosen))
        return self._padded([self._known[number] for number in numbers])

    def pool(self, choices: Sequence[Choices]) -> Floats:
        """(n, columns) of whole answers."""
        return self._padded([self.context.encode(chosen) for chosen in choices])

    @property
    def questions(self) -> NDArray[np.int64]:
        """Which question each column belongs to, counted from 0."""
        places = {name: place for place, name in enumerate(self.context.questions)}
        return np.array([places[name] for name in self.context.columns], dtype=np.int64)

    def _padded(self, codes: Sequence[Floats]) -> Floats:
        found = np.zeros((len(codes), len(self.context.columns)))
        for row, code in zip(found, codes, strict=True):
            row[: len(code)] = code
        return found


@dataclass(frozen=True)
class Evidence:
    """A row for each network that came to an end, and the points of all records beside.

    `losses` (n, axes) are those of the network's best file, NaN where one is not known; `front`
    (m, axes) those of every record that keeps its budgets, of the networks `members`. What `failed`
    (n,) has no losses worth learning from. `static` (n, names) are static objectives.
    """

    choices: Sequence[Choices]
    numbers: Sequence[int]
    losses: Floats
    static: Floats
    failed: NDArray[np.bool_]
    front: Floats
    members: Sequence[int]
    values: Sequence[Mapping[str, float]]


def read(records: Sequence[Record], losses: Sequence[Loss], static: Sequence[str]) -> Evidence:
    """From records in the order in which they were told."""
    families: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        families[_network(record)].append(record)
    trained = [record for record in records if record.network is None]
    gains = _epoch_gains(trained, losses)
    rows = [_best(families[record.number], losses, gains) for record in trained]
    points = [
        ([loss.known(record.values) for loss in losses], record)
        for record in records
        if record.outcome == "feasible"
    ]
    owners = {record.number for record in trained}
    whole = [(p, r) for p, r in points if np.isfinite(p).all() and _network(r) in owners]
    return Evidence(
        choices=[record.choices for record in trained],
        numbers=[record.number for record in trained],
        losses=np.array(rows).reshape(len(rows), len(losses)),
        static=np.array(
            [[record.values.get(name, np.nan) for name in static] for record in trained]
        ).reshape(len(trained), len(static)),
        failed=np.array([record.outcome == "failed" for record in trained], dtype=bool),
        front=np.array([point for point, _ in whole]).reshape(-1, len(losses)),
        members=[_network(record) for _, record in whole],
        values=[record.values for record in trained],
    )


def _network(record: Record) -> int:
    return record.number if record.network is None else record.network


def _best(family: Sequence[Record], losses: Sequence[Loss], gains: Floats) -> list[float]:
    """Of a network's files the one that alone takes most of the volume below the references."""
    rows = [_row(record, losses, gains) for record in family]
    worst = np.array([loss.worst for loss in losses])
    width = np.array([loss.width for loss in losses])

    def volume(row: list[float]) -> float:
        known = np.where(np.isfinite(row), row, worst)
        return float(np.prod(np.clip((worst - known) / width, 1e-6, None)))

    return max(rows, key=volume)


def _row(record: Record, losses: Sequence[Loss], gains: Floats) -> list[float]:
    """A stopped training as it would have ended, by what others gained after that epoch."""
    row = [loss.known(record.values) for loss in losses]
    for place, loss in enumerate(losses):
        epochs = len(record.curve)
        if loss.axis.leads and record.outcome == "stopped" and 0 < epochs <= len(gains):
            reached = loss.modelled(np.array([loss.of(record.curve[-1])]))
            row[place] = float(loss.told(reached + gains[epochs - 1])[0])
    return row


def _epoch_gains(trained: Sequence[Record], losses: Sequence[Loss]) -> Floats:
    """By how much the modelled loss usually falls after each epoch of a whole training."""
    leading = [loss for loss in losses if loss.axis.leads]
    curves = [r.curve for r in trained if r.outcome == "feasible" and len(r.curve) > 1]
    if not leading or not curves:
        return np.zeros(0)
    longest = max(map(len, curves))
    whole = [curve for curve in curves if len(curve) == longest]
    modelled = np.array(
        [leading[0].modelled(np.array([leading[0].of(x) for x in curve])) for curve in whole]
    )
    found: Floats = np.median(modelled[:, -1:] - modelled, axis=0)
    return found
