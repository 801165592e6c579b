"""A search's records from the front inwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.analysis import pareto
from orchestrator.contracts import Axis
from orchestrator.records import Record
from orchestrator.study.study import Study

__all__ = ["layers", "widest"]


def layers(records: Sequence[Record], axes: Sequence[Axis]) -> Iterator[Record]:
    """The front, spread out, then the front of the rest, and so on, each when it is asked for."""
    rest = list(records)
    while rest:
        found = pareto.spread([record.values for record in rest], axes, len(rest))
        found = found or list(range(len(rest)))
        yield from (rest[index] for index in found)
        gone = set(found)
        rest = [record for index, record in enumerate(rest) if index not in gone]


def widest(study: Study, count: int) -> list[Record]:
    """The networks of the front that show its whole width, by the records of their trainings.

    Members that share a training are one network, and count once.
    """
    values = [record.values for record in study.feasible]
    trained = {record.number: record for record in study.records}
    wanted = count
    while True:
        indices = pareto.spread(values, study.axes, wanted)
        found = (study.feasible[index] for index in indices)
        networks = list(dict.fromkeys(record.training for record in found))
        if len(networks) >= count or len(indices) < wanted:
            return [trained[number] for number in networks[:count]]
        wanted += count
