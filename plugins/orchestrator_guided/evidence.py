"""What a search's history says, as arrays: one row for each network that was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from orchestrator import Budget, Choices, Earlier, Record
from orchestrator_guided.improvement import layer
from orchestrator_guided.losses import Loss

__all__ = ["Evidence"]

Floats = NDArray[np.float64]

# Of so many of the latest whole trainings it is known by how much they gained after an epoch.
_CURVES = 200
# And of so many networks by how much another file of theirs is better than their own.
_COMPARED = 50


@dataclass
class Evidence:
    """A row for each network that came to an end; it grows with the records told.

    `choices` are those that each was drawn with. `losses` are those of the axes, the first `axes`
    of them, and of what has a budget beside. A network counts with its best file. `points` are the
    losses (m, axes) of every record that keeps its budgets, of the networks at places `owners`.
    """

    losses: Sequence[Loss]
    axes: int
    static: Sequence[str]
    trainings: list[Record] = field(default_factory=list)
    choices: list[Choices] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    _rows: list[list[float]] = field(default_factory=list)
    _costs: list[list[float]] = field(default_factory=list)
    _front: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    _layered: int = 0
    _files: list[list[Record]] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)
    _read: int = 0
    _last: Record | None = None

    def read(self, records: Sequence[Record]) -> None:
        """What is new; `records` in the order in which they were told."""
        for record in records[self._read :]:
            if record.network is None:
                self._places[record.number] = len(self.trainings)
                self.trainings.append(record)
                self.choices.append(record.choices)
                self._costs.append([record.values.get(name, np.nan) for name in self.static])
                self._files.append([])
                self._rows.append([])
            if record.training in self._places:
                self._take(record, self._places[record.training])
        self._read = len(records)
        self._last = records[-1] if records else None

    def read_earlier(self, earlier: Sequence[Earlier]) -> None:
        """Networks of earlier searches, with what holds here as well: evidence, on no front."""
        for before in earlier:
            kept = [loss.axis.name in before.holds for loss in self.losses]
            if not any(kept):
                continue
            known = Evidence(self.losses, self.axes, self.static)
            known.read(before.records)
            learnt = any(h and loss.axis.leads for h, loss in zip(kept, self.losses, strict=True))
            for place, record in enumerate(known.trainings):
                if record.outcome == "failed":
                    continue
                known_here = replace(record, earlier=before.origin)
                if not learnt:
                    known_here = replace(known_here, curve=(), extra={})
                self.trainings.append(known_here)
                self.choices.append(record.choices)
                values = {n: v for n, v in record.values.items() if n in before.holds}
                self._costs.append([values.get(n, np.nan) for n in self.static])
                self._files.append([])
                row = zip(known._rows[place], kept, strict=True)
                self._rows.append([value if held else np.nan for value, held in row])

    def leads_to(self, records: Sequence[Record]) -> bool:
        """Whether these begin with those that were read."""
        return not self._read or (
            len(records) >= self._read and records[self._read - 1] is self._last
        )

    def nearest(self, budgets: Mapping[str, Budget]) -> list[int]:
        """Places of those that did not fail, by how far they broke budgets."""

        def broken(place: int) -> float:
            over = self.trainings[place].violations
            limits = {name: abs(b.max or b.min or 1.0) for name, b in budgets.items()}
            return sum(excess / limits.get(name, 1.0) for name, excess in over.items())

        fine = [p for p, record in enumerate(self.trainings) if record.outcome != "failed"]
        return sorted(fine or range(len(self)), key=broken)

    def __len__(self) -> int:
        return len(self.trainings)

    @property
    def raw(self) -> Floats:
        """(n, losses), NaN where one is not known."""
        return np.array(self._rows).reshape(len(self), len(self.losses))

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(n,): what has no losses worth learning from."""
        return np.array([record.outcome == "failed" for record in self.trainings], dtype=bool)

    @property
    def predicted(self) -> Floats:
        """(n,): 1 where an estimator foretold rather than trained."""
        return np.array([float(bool(r.extra.get("predicted"))) for r in self.trainings])

    @property
    def costs(self) -> Floats:
        """(n, static): static objectives, NaN where one is not known."""
        return np.array(self._costs, dtype=np.float64).reshape(len(self), len(self.static))

    @property
    def front(self) -> NDArray[np.int64]:
        """Where those of `points` are that nothing dominates."""
        if self._layered != len(self.points):
            self._front = layer(np.array(self.points).reshape(-1, self.axes))
            self._layered = len(self.points)
        return self._front

    def target(self, place: int, count: int) -> tuple[Floats, Floats]:
        """Of the first `count` one loss as it is modelled, NaN where unknown, and its variance.

        A training that ended early counts as it would have ended, by what others gained after that
        epoch; how differently they did is its variance.
        """
        loss = self.losses[place]
        values = loss.modelled(np.array([row[place] for row in self._rows[:count]]))
        variances = np.zeros(count)
        if loss.axis.leads:
            gains = self._gains(loss, count)
            for row, record in enumerate(self.trainings[:count]):
                if (foreseen := _foreseen(loss, record, gains)) is not None:
                    values[row], variances[row] = foreseen
        return values, variances

    def beyond(self, place: int) -> tuple[float, float]:
        """By how much the file that a network counts with differs from its own in a modelled loss.

        The mean of the latest, and how differently they do. Both are 0 where each has but one.
        """
        loss, apart = self.losses[place], []
        for row, files in zip(self._rows[-_COMPARED:], self._files[-_COMPARED:], strict=True):
            own = loss.known(files[0].values)
            if len(files) > 1 and np.isfinite([row[place], own]).all():
                best, first = loss.modelled(np.array([row[place], own]))
                apart.append(best - first)
        return (float(np.mean(apart)), float(np.std(apart))) if apart else (0.0, 0.0)

    def foreseen(self, place: int, record: Record) -> tuple[float, float] | None:
        """What a training that goes on will come to, with its variance; None if that is open."""
        loss = self.losses[place]
        return _foreseen(loss, record, self._gains(loss, len(self))) if loss.axis.leads else None

    def _take(self, record: Record, place: int) -> None:
        """A file more of a network."""
        files, row = self._files[place], self._rows_of(record)
        files.append(record)
        self._rows[place] = self._best(files) if len(files) > 1 else row
        point = row[: self.axes]
        if record.outcome == "feasible" and all(map(isfinite, point)):
            self.points.append(point)
            self.owners.append(place)

    def _rows_of(self, record: Record) -> list[float]:
        return [loss.known(record.values) for loss in self.losses]

    def _best(self, files: Sequence[Record]) -> list[float]:
        """Of those that keep budgets the one that takes most of the volume below the references."""
        kept = [record for record in files if record.outcome == "feasible"] or files
        return max(map(self._rows_of, kept), key=self._volume)

    def _volume(self, row: list[float]) -> float:
        found = 1.0
        for loss, value in zip(self.losses[: self.axes], row, strict=False):
            known = value if np.isfinite(value) else loss.worst
            found *= max((loss.worst - known) / loss.width, 1e-6)
        return found

    def _gains(self, loss: Loss, count: int) -> tuple[Floats, Floats]:
        """By how much a modelled loss usually rises after each epoch of a whole training."""
        curves = [r.curve for r in self.trainings[:count] if _is_whole(r)]
        longest = max(map(len, curves), default=0)
        whole = [curve for curve in curves if len(curve) == longest][-_CURVES:]
        if longest < 2:
            return np.zeros(0), np.zeros(0)
        modelled = np.array([loss.modelled(np.array([loss.of(x) for x in c])) for c in whole])
        left = modelled[:, -1:] - modelled
        gains = np.median(left, axis=0)
        apart = 1.5 * np.median(np.abs(left - gains), axis=0)
        # Of two or three it is not known how differently the next will do.
        return gains, np.maximum(apart, np.abs(gains) / (1 + len(whole)) ** 0.5)


def _foreseen(
    loss: Loss, record: Record, gains: tuple[Floats, Floats]
) -> tuple[float, float] | None:
    epochs = len(record.curve)
    if not 0 < epochs < len(gains[0]) or not _is_trained(record):
        return None
    last = float(loss.modelled(np.array([loss.of(record.curve[-1])]))[0])
    return last + float(gains[0][epochs - 1]), float(gains[1][epochs - 1]) ** 2


def _is_trained(record: Record) -> bool:
    return record.outcome in ("feasible", "stopped", "rejected") and not _foretold(record.extra)


def _is_whole(record: Record) -> bool:
    trained = record.outcome in ("feasible", "rejected") and not _foretold(record.extra)
    return trained and len(record.curve) > 1


def _foretold(extra: Mapping[str, object]) -> bool:
    return bool(extra.get("predicted"))
