"""The key figures at the top of a report, and how the front grew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.analysis.display import human, label
from orchestrator.analysis.pareto import front, hypervolume_history
from orchestrator.contracts.objective import Axis
from orchestrator.errors import plural
from orchestrator.records import Record, count_outcomes
from orchestrator.report.data import ReportData
from orchestrator.report.known import told

__all__ = ["budget", "front_records", "history", "tiles"]


def front_records(data: ReportData) -> list[Record]:
    """The feasible candidates that nothing dominates, best first on the first axis."""
    feasible = [record for record in data.records if record.outcome == "feasible"]
    if not data.axes:
        return []
    return [feasible[index] for index in front([r.values for r in feasible], data.axes)]


def budget(axis: Axis) -> str:
    """The axis' hard limits in words; empty without any."""
    limits = [f"≥ {human(axis.min, axis.unit)}"] if axis.min is not None else []
    limits += [f"≤ {human(axis.max, axis.unit)}"] if axis.max is not None else []
    return " and ".join(limits)


def history(data: ReportData) -> list[dict[str, Any]]:
    """The hypervolume after each candidate, in the order in which they finished."""
    if not data.axes or not data.records:
        return []
    ordered = sorted(data.records, key=lambda record: (record.finished_at, record.number))
    points = [record.values if record.outcome == "feasible" else {} for record in ordered]
    own = [record for record in ordered if not record.earlier] or ordered
    start = min(record.finished_at - record.seconds for record in own)
    volumes = hypervolume_history(points, data.axes)
    return [
        {
            "number": record.number,
            # What earlier runs knew is there as this one begins.
            "minutes": round(max(0.0, record.finished_at - start) / 60, 3),
            "volume": volume,
        }
        for record, volume in zip(ordered, volumes, strict=True)
    ]


def tiles(
    data: ReportData, members: Sequence[Record], steps: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Label, value and note of each key figure; `members` is the front, `steps` its history."""
    own = [record for record in data.records if not record.earlier]
    trained = sum(record.network is None for record in own)
    several = f"{plural(len(own), 'variant')} · " if len(own) > trained else ""
    found = [_tile("candidates", str(trained), several + _counts(own))]
    found += _earlier(data.records)
    found.append(_tile("on the front", str(len(members)), f"of {_feasible(data)} feasible"))
    found += [_best(axis, members, data.leading) for axis in data.axes if members]
    if steps:
        volume = steps[-1]["volume"]
        found.append(_tile("hypervolume", f"{volume:.3f}", "1 would be ideal on every axis"))
    spent = sum(record.seconds for record in own)
    if spent > 0:
        found.append(_tile("evaluation", human(spent, "s"), "summed over candidates"))
    return found


def _earlier(records: Sequence[Record]) -> list[dict[str, str]]:
    """What earlier runs had paid for."""
    known = [record for record in records if record.earlier and record.network is None]
    runs = ", ".join(dict.fromkeys(record.earlier for record in known))
    return [_tile("of earlier runs", str(len(known)), runs)] if known else []


def _tile(name: str, value: str, note: str) -> dict[str, str]:
    return {"label": name, "value": value, "note": note}


def _best(axis: Axis, members: Sequence[Record], leading: str) -> dict[str, str]:
    best = max(members, key=lambda record: axis.sign * record.values[axis.name])
    limit = budget(axis)
    value = human(best.values[axis.name], axis.unit)
    known = told(best, best.values[axis.name], axis.unit, leads=axis.name == leading)
    note = known.removeprefix(value).strip(" ()")
    note = f"{note} · " * bool(note) + f"candidate {best.number}"
    note += f" · budget {limit}" if limit else ""
    which = "highest" if axis.direction == "maximize" else "lowest"
    return _tile(f"{which} {label(axis.name)}", value, note)


def _counts(records: Sequence[Record]) -> str:
    counts = count_outcomes(records).items()
    return " · ".join(f"{count} {outcome}" for outcome, count in counts if count)


def _feasible(data: ReportData) -> int:
    return count_outcomes(data.records)["feasible"]
