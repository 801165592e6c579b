"""Which file suits which need, and answers to a new budget, at once, from a finished search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.analysis import pareto
from orchestrator.analysis.display import human
from orchestrator.contracts import Axis
from orchestrator.errors import BudgetError, ConfigError, closest
from orchestrator.records import Finalist, Record
from orchestrator.study.study import Study

__all__ = ["choose", "picked"]


@dataclass(frozen=True)
class _Offer:
    """A file that may be recommended; `label` is empty for one of a run of old, which has one."""

    finalist: Finalist
    label: str
    values: Mapping[str, float]


def picked(finalists: Sequence[Finalist], axes: Sequence[Axis]) -> list[Finalist]:
    """Finalists with the needs that their files suit best; only recommended ones are picked."""
    offers = _offers(finalists)
    suited: dict[tuple[str, str], list[str]] = {}
    for need, index in pareto.picks([offer.values for offer in offers], axes).items():
        chosen = offers[index]
        suited.setdefault((chosen.finalist.id, chosen.label), []).append(need)
    return [
        replace(
            finalist,
            picks=tuple(suited.get((finalist.id, finalist.label), ())),
            files=tuple(
                replace(file, picks=tuple(suited.get((finalist.id, file.label), ())))
                for file in finalist.files
            ),
        )
        for finalist in finalists
    ]


def choose(
    study: Study, most: Mapping[str, float], least: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Files of finalists within the limits, or else candidates; on their front, best first.

    Of a finalist: "file" is where it lies, "label" and "runtime" what it is.
    """
    known = set(study.config.objective)
    for name in (*most, *least):
        if name not in known:
            raise ConfigError(f"--max/--min {name}: unknown objective; {closest(name, known)}")
    finalists = [_entry(study, offer) for offer in _offers(study.finalists)]
    candidates = [_candidate(record) for record in study.feasible]
    offers: tuple[list[dict[str, Any]], ...] = (finalists, candidates)
    for offered in offers:
        kept = [entry for entry in offered if _keeps(entry["values"], most, least)]
        if kept:
            return _front(kept, study.axes, most, least)
    raise BudgetError(_nearest(study, most, least))


def _offers(finalists: Sequence[Finalist]) -> list[_Offer]:
    """Every file that may be recommended."""
    found = []
    for finalist in finalists:
        for file in finalist.files:
            if file.recommended:
                found.append(_Offer(finalist, file.label, file.values))
        if not finalist.files and finalist.recommended:
            found.append(_Offer(finalist, "", finalist.values))
    return found


def _entry(study: Study, offer: _Offer) -> dict[str, Any]:
    finalist = offer.finalist
    file = next((file for file in finalist.files if file.label == offer.label), None)
    return {
        "id": finalist.id,
        "folder": str(study.folder / finalist.folder),
        "file": str(study.folder / (file.file if file else finalist.file)),
        "label": offer.label,
        "runtime": file.runtime if file else "",
        "steps": list(file.steps) if file else [],
        "values": dict(offer.values),
        "picks": [],
    }


def _candidate(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "folder": "",
        "file": "",
        "label": "",
        "runtime": record.genotype.runtime,
        "steps": [step.name for step in record.genotype.compression],
        "values": dict(record.values),
        "picks": [],
    }


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
