"""Several fidelities: candidates start short, and those that are promising go on.

Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934) over several objectives, ranked
by non-dominated layers and within one by what each adds to the hypervolume (after Schmucker et al.
2021, arXiv:2106.12639). A candidate is judged as soon as it reaches a rung, by all that reached it
before: nobody waits for a rung to fill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.analysis import pareto
from orchestrator.contracts.objective import Axis
from orchestrator.errors import plural
from orchestrator.estimators.ladder import Ladder
from orchestrator.records import Record

__all__ = ["Rungs"]


class Rungs:
    """Who is at which rung, and who goes on from it; all follows from records.

    `told` are what was known before, `climbing` the last record of each candidate that was on its
    way further, by number.
    """

    def __init__(
        self,
        ladder: Ladder,
        axes: Sequence[Axis],
        told: Sequence[Record],
        climbing: Mapping[int, Record],
    ) -> None:
        self._ladder = ladder
        self._axes = axes
        (self._leading,) = (axis.name for axis in axes if axis.leads)
        self._climbing = dict(climbing)
        self._seen: dict[int, list[dict[str, float]]] = {rung: [] for rung in ladder.epochs[:-1]}
        for record in (*told, *climbing.values()):
            if record.network is None:
                self._note(record, 0)

    def payload(self, number: int) -> dict[str, Any]:
        """What a worker is told of how far a candidate is, and how far it goes now."""
        curve = self._climbing[number].curve if number in self._climbing else ()
        return {"until": self._ladder.leg(len(curve)), "curve": list(curve)}

    def judge(self, record: Record) -> Record | None:
        """The candidate's last record; None for one that goes on."""
        before = self._climbing.pop(record.number, None)
        done = len(before.curve) if before else 0
        if before:
            record = replace(record, seconds=before.seconds + record.seconds)
        self._note(record, done)
        rung = len(record.curve)
        seen = self._seen.get(rung)
        if record.outcome != "stopped" or rung <= done or not seen:
            return record
        better, of = _place(seen, self._axes), len(seen)
        if better < math.ceil(self._ladder.kept * of):
            self._climbing[record.number] = record
            return None
        reason = (
            f"after {plural(rung, 'epoch')} behind {better} of the {of} that were trained so far"
        )
        return replace(record, reason=reason)

    def _note(self, record: Record, done: int) -> None:
        """Keep what it had at each rung that it reached since."""
        for rung, seen in self._seen.items():
            if done < rung <= len(record.curve):
                seen.append({**record.values, self._leading: record.curve[rung - 1]})


def _place(points: Sequence[Mapping[str, float]], axes: Sequence[Axis]) -> int:
    """How many of the points are before the last one, on the axes that it has values of."""
    known = [axis for axis in axes if axis.name in points[-1]]
    rest, before = list(enumerate(points)), 0
    while layer := pareto.front([point for _, point in rest], known):
        members = [rest[index] for index in layer]
        numbers = [number for number, _ in members]
        if len(points) - 1 in numbers:
            mine = numbers.index(len(points) - 1)
            return before + _within([point for _, point in members], mine, known)
        before += len(layer)
        rest = [member for member in rest if member[0] not in set(numbers)]
    return before


def _within(layer: Sequence[Mapping[str, float]], mine: int, axes: Sequence[Axis]) -> int:
    """How many points of a layer dominate more that nobody else of it does."""
    whole = pareto.hypervolume(layer, axes)
    adds = [
        whole - pareto.hypervolume([p for i, p in enumerate(layer) if i != out], axes)
        for out in range(len(layer))
    ]
    return sum(add > adds[mine] for add in adds)
