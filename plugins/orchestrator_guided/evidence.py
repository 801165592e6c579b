"""What a search's history says, as arrays: one row for each network that was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from orchestrator import Budget, Choices, Earlier, Record
from orchestrator_guided.losses import Loss
from orchestrator_guided.rows import Rows

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
    of them, and of what has a budget beside. A network counts with its best file. `owners` are
    the places of the networks of `points`.
    """

    losses: Sequence[Loss]
    axes: int
    static: Sequence[str]
    trainings: list[Record] = field(default_factory=list)
    choices: list[Choices] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    # Of these so many cost a training, here or in an earlier search.
    tried: int = 0
    _files: list[list[Record]] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)
    _read: int = 0
    _last: Record | None = None
    _front: list[int] = field(default_factory=list)
    _gained: dict[int, tuple[Floats, Floats]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rows, self._costs = Rows(len(self.losses)), Rows(len(self.static))
        self._points = Rows(self.axes)
        # Whether it failed, whether it was foretold; epochs that it was trained for, and whether
        # these were all.
        self._marks = Rows(4)

    def read(self, records: Sequence[Record]) -> None:
        """What is new; `records` in the order in which they were told."""
        for record in records[self._read :]:
            if record.network is None:
                self._places[record.number] = len(self)
                self._add(record, record.values, [np.nan] * len(self.losses))
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
                values = {n: v for n, v in record.values.items() if n in before.holds}
                row = zip(known.raw[place], kept, strict=True)
                self._add(known_here, values, [value if held else np.nan for value, held in row])

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
        return self._rows.array

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(n,): what has no losses worth learning from."""
        return self._marks.array[:, 0] > 0

    @property
    def predicted(self) -> Floats:
        """(n,): 1 where an estimator foretold rather than trained."""
        return self._marks.array[:, 1]

    @property
    def costs(self) -> Floats:
        """(n, static): static objectives, NaN where one is not known."""
        return self._costs.array

    @property
    def points(self) -> Floats:
        """(m, axes): losses of every record that keeps its budgets."""
        return self._points.array

    @property
    def front(self) -> NDArray[np.int64]:
        """Where those of `points` are that nothing dominates; of equal ones the first."""
        return np.array(self._front, dtype=np.int64)

    def target(self, place: int, count: int) -> tuple[Floats, Floats]:
        """Of the first `count` one loss as it is modelled, NaN where unknown, and its variance.

        A training that ended early counts as it would have ended, by what others gained after that
        epoch; how differently they did is its variance.
        """
        loss = self.losses[place]
        values = loss.modelled(self.raw[:count, place].copy())
        variances = np.zeros(count)
        if loss.axis.leads:
            gains = self._gains(loss, count)
            epochs = self._marks.array[:count, 2]
            for row in np.flatnonzero((epochs > 0) & (epochs < len(gains[0]))):
                foreseen = _foreseen(loss, self.trainings[row], gains)
                assert foreseen is not None
                values[row], variances[row] = foreseen
        return values, variances

    def beyond(self, place: int) -> tuple[float, float]:
        """By how much the file that a network counts with differs from its own in a modelled loss.

        The mean of the latest, and how differently they do. Both are 0 where each has but one.
        """
        loss, apart = self.losses[place], []
        for row, files in zip(self.raw[-_COMPARED:], self._files[-_COMPARED:], strict=True):
            own = loss.known(files[0].values)
            if len(files) > 1 and np.isfinite([row[place], own]).all():
                best, first = loss.modelled(np.array([row[place], own]))
                apart.append(best - first)
        return (float(np.mean(apart)), float(np.std(apart))) if apart else (0.0, 0.0)

    def foreseen(self, place: int, record: Record) -> tuple[float, float] | None:
        """What a training that goes on will come to, with its variance; None if that is open."""
        loss = self.losses[place]
        return _foreseen(loss, record, self._gains(loss, len(self))) if loss.axis.leads else None

    def _add(self, record: Record, known: Mapping[str, float], row: Sequence[float]) -> None:
        """A network more, with what is known of it."""
        self.trainings.append(record)
        self.choices.append(record.choices)
        self._files.append([])
        self._rows.append(row)
        self._costs.append([known.get(name, np.nan) for name in self.static])
        epochs = len(record.curve) if _is_trained(record) else 0
        marks = (record.outcome == "failed", _foretold(record.extra), epochs, _is_whole(record))
        self._marks.append([float(mark) for mark in marks])
        self.tried += record.paid or bool(record.earlier)
        self._gained.clear()

    def _take(self, record: Record, place: int) -> None:
        """A file more of a network."""
        files, row = self._files[place], self._rows_of(record)
        files.append(record)
        self._rows.replace(place, self._best(files) if len(files) > 1 else row)
        point = row[: self.axes]
        if record.outcome == "feasible" and all(map(isfinite, point)):
            self._points.append(point)
            self.owners.append(place)
            self._advance(np.array(point))

    def _advance(self, point: Floats) -> None:
        """The front with the latest point, if nothing there is as good."""
        there = self.points[self._front]
        if not (there <= point).all(1).any():
            left = np.flatnonzero((there < point).any(1))
            self._front = [*(self._front[place] for place in left), len(self._points) - 1]

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
        """By how much the leading loss, modelled, usually rises after each epoch of a training."""
        if count not in self._gained:
            marks = self._marks.array[:count]
            epochs = np.where(marks[:, 3] > 0, marks[:, 2], 0)
            longest = epochs.max(initial=0)
            rows = np.flatnonzero(epochs == longest)[-_CURVES:] if longest else ()
            self._gained[count] = _usual(loss, [self.trainings[row].curve for row in rows])
        return self._gained[count]


def _usual(loss: Loss, curves: Sequence[Sequence[float]]) -> tuple[Floats, Floats]:
    """Of whole curves, all of one length."""
    if not curves:
        return np.zeros(0), np.zeros(0)
    modelled = np.array([loss.modelled(np.array([loss.of(x) for x in c])) for c in curves])
    left = modelled[:, -1:] - modelled
    gains = np.median(left, axis=0)
    apart = 1.5 * np.median(np.abs(left - gains), axis=0)
    # Of two or three it is not known how differently the next will do.
    return gains, np.maximum(apart, np.abs(gains) / (1 + len(curves)) ** 0.5)


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
