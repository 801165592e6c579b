"""Answers a new budget from a finished search, at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.analysis import pareto
from orchestrator.analysis.display import human
from orchestrator.contracts import Axis
from orchestrator.errors import BudgetError, ConfigError, closest
from orchestrator.study.study import Study

__all__ = ["choose"]


def choose(
    study: Study, most: Mapping[str, float], least: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Finalists within the limits, or else the search's candidates; on their front, best first."""
    known = set(study.config.objective)
    for name in (*most, *least):
        if name not in known:
            raise ConfigError(f"--max/--min {name}: unknown objective; {closest(name, known)}")
    finalists = [
        {
            "id": f.id,
            "folder": str(study.folder / f.folder),
            "values": dict(f.values),
            "picks": [],
        }
        for f in study.finalists
        if f.recommended
    ]
    candidates = [
        {"id": r.id, "folder": "", "values": dict(r.values), "picks": []} for r in study.feasible
    ]
    offers: tuple[list[dict[str, Any]], ...] = (finalists, candidates)
    for offered in offers:
        kept = [entry for entry in offered if _keeps(entry["values"], most, least)]
        if kept:
            return _front(kept, study.axes, most, least)
    raise BudgetError(_nearest(study, most, least))


def _front(
    entries: list[dict[str, Any]],
    axes: Sequence[Axis],
    most: Mapping[str, float],
    least: Mapping[str, float],
) -> list[dict[str, Any]]:
    limited = [
        replace(axis, max=most.get(axis.name, axis.max), min=least.get(axis.name, axis.min))
        for axis in axes
    ]
    points = [entry["values"] for entry in entries]
    for label, index in pareto.picks(points, limited).items():
        entries[index]["picks"].append(label)
    return [entries[index] for index in pareto.front(points, limited)]


def _keeps(
    values: Mapping[str, float], most: Mapping[str, float], least: Mapping[str, float]
) -> bool:
    high = all(values[name] <= limit for name, limit in most.items())
    return high and all(values[name] >= limit for name, limit in least.items())


def _nearest(study: Study, most: Mapping[str, float], least: Mapping[str, float]) -> str:
    units = study.units
    told = []
    for name in (*most, *least):
        found = [r.values[name] for r in study.feasible if name in r.values]
        if found:
            word, best = ("smallest", min(found)) if name in most else ("largest", max(found))
            told.append(f"{word} {name} is {human(best, units.get(name, ''))}")
    known = "; its ".join(told) or "list of feasible candidates is empty"
    return f"nothing in {study.folder} keeps these limits; its {known}."
