"""Latencies on the front that cannot be told apart, and what measuring them together told.

Candidates are measured when they are trained, hours apart; their intervals hold what a machine does
in one session, and two that overlap say nothing of which is faster. Measured again in one session,
in turn, they are compared under the same conditions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from orchestrator.errors import RunError, plural
from orchestrator.files import read_json, write_json
from orchestrator.records import Latency, Record

__all__ = ["Again", "Remeasured", "close_pairs"]

_FORMAT = 1
_FILE = "measured_again.json"


@dataclass(frozen=True)
class Again:
    """What is now known of one candidate: latencies by device, and the objectives they are.

    `violations` are budgets that it breaks by these, in the objective's unit.
    """

    latencies: Mapping[str, Latency]
    values: Mapping[str, float]
    violations: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Remeasured:
    """Candidates measured again, by number.

    Of `pairs` that overlapped, `left` still do; `beyond` were too many for one session.
    """

    found: Mapping[int, Again] = field(default_factory=dict)
    pairs: int = 0
    left: int = 0
    beyond: int = 0

    def applied(self, records: Iterable[Record]) -> list[Record]:
        """Records with the latencies of that session; one that then breaks a budget is rejected."""
        return [_applied(record, self.found.get(record.number)) for record in records]

    @property
    def sentence(self) -> str:
        """What the user is told; empty where nothing was measured again."""
        if not self.found:
            return ""
        more = f"; not looked at: {self.beyond} more" if self.beyond else ""
        return (
            f"{plural(self.pairs, 'pair')} on the front had latencies that could not be told "
            f"apart; {plural(len(self.found), 'candidate')} had another measurement in one "
            f"session, after which {self.left} of these cannot{more}."
        )

    def write(self, folder: Path) -> None:
        """Keep it in a run's folder."""
        told = asdict(self)
        write_json(folder / _FILE, told, format=_FORMAT)

    @classmethod
    def read(cls, folder: Path) -> Remeasured:
        """What `write` kept; empty before that. Raises RunError for what is damaged."""
        path = folder / _FILE
        if not path.is_file():
            return cls()
        told = dict(read_json(path, format=_FORMAT))
        try:
            told.pop("format", None)
            found = {int(number): _again(entry) for number, entry in told.pop("found").items()}
            return cls(found, **told)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{path} is damaged: {error!r}. Restore it from a copy.") from error


def close_pairs(
    records: Sequence[Record], axes: Mapping[str, str], most: int
) -> tuple[list[tuple[Record, Record]], int]:
    """Pairs of which it cannot be said which is faster, the closest first, and how many more.

    `axes` are objectives that are latencies and the device of each. Pairs are left out once they
    are of more than `most` candidates. Variants of one training were measured together already.
    """
    found = sorted(
        (gap, first.number, second.number, first, second)
        for first, second in combinations(records, 2)
        if first.training != second.training
        for gap in [_gap(first, second, axes)]
        if gap is not None
    )
    kept: list[tuple[Record, Record]] = []
    numbers: set[int] = set()
    for _, one, other, first, second in found:
        if len(numbers | {one, other}) <= most:
            numbers |= {one, other}
            kept.append((first, second))
    return kept, len(found) - len(kept)


def _gap(first: Record, second: Record, axes: Mapping[str, str]) -> float | None:
    """By how much two differ in a latency that overlaps, the least share; None where none does."""
    gaps = [
        abs(one.ms - other.ms) / max(one.ms, other.ms)
        for device in set(axes.values())
        for one, other in [(first.latencies.get(device), second.latencies.get(device))]
        if one is not None and other is not None and one.overlaps(other)
    ]
    return min(gaps, default=None)


def _applied(record: Record, again: Again | None) -> Record:
    if again is None:
        return record
    known = replace(
        record,
        values={**record.values, **again.values},
        latencies={**record.latencies, **again.latencies},
    )
    if not again.violations:
        return known
    reason = f"measured again, it breaks the budget of {', '.join(again.violations)}"
    return replace(known, outcome="rejected", violations=dict(again.violations), reason=reason)


def _again(told: Mapping[str, Any]) -> Again:
    timed = {device: Latency(**latency) for device, latency in told["latencies"].items()}
    return Again(timed, dict(told["values"]), dict(told["violations"]))
