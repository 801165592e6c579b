"""What became of the networks that a paper's search asks about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestrator import Choices, History, Proposal, Record, SamplerContext

__all__ = ["Point", "Told", "named", "stranger"]

_TRIES = 50


@dataclass(frozen=True)
class Point:
    """A network by its answers."""

    choices: Choices
    context: SamplerContext

    @cached_property
    def key(self) -> str:
        """Its genotype's."""
        return self.context.draw(self.choices).key

    @cached_property
    def static(self) -> Mapping[str, float] | None:
        """Its static objectives; None where there is no such network."""
        return self.context.counted(self.choices)

    @cached_property
    def is_possible(self) -> bool:
        """Whether there is such a network, within the budgets on what is static."""
        return self.static is not None and not self.context.violations(self.static)


@dataclass
class Told:
    """A history by network."""

    history: History

    def record(self, point: Point) -> Record | None:
        """What became of it; None where it is not told yet, or was never proposed."""
        return self._records.get(point.key)

    def is_open(self, point: Point) -> bool:
        """Whether it was never proposed."""
        return point.key not in self.history.keys

    def is_pending(self, point: Point) -> bool:
        """Whether it was handed out and is not told yet."""
        return point.key in self._pending

    def number(self, point: Point) -> int | None:
        """Of the candidate that it was or is; None where it was never proposed."""
        record = self.record(point)
        return self._pending.get(point.key) if record is None else record.number

    @cached_property
    def _records(self) -> dict[str, Record]:
        return {record.genotype.key: record for record in self.history.records}

    @cached_property
    def _pending(self) -> Mapping[str, int]:
        return {p.genotype.key: p.number for p in self.history.pending}


def named(history: History) -> Sequence[tuple[str, Choices]]:
    """The named networks that a search begins with, each with its answers, in their order."""
    entries: list[Record | Proposal] = [*history.pending]
    entries += [record for record in history.records if record.network is None]
    found = {entry.number: entry for entry in entries if entry.origin != "sampler"}
    return [(found[number].origin, found[number].choices) for number in sorted(found)]


def stranger(history: History, context: SamplerContext) -> Choices | None:
    """What comes once a paper's search has ended: a draw that keeps the static budgets.

    None where chance finds none.
    """
    told, first = Told(history), _TRIES * (len(history.records) + len(history.pending))
    draws = (Point(context.random(first + n), context) for n in range(_TRIES))
    found = (point for point in draws if told.is_open(point) and point.is_possible)
    return next((point.choices for point in found), None)
