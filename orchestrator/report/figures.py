"""A report's numbers and texts, shaped for the page: JSON values only, every text ready to show."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.analysis.display import human, label, unit_of
from orchestrator.analysis.importance import effects
from orchestrator.contracts.objective import Axis
from orchestrator.records import Record
from orchestrator.report.agreement import agreement
from orchestrator.report.data import ReportData
from orchestrator.report.finalists import finalist
from orchestrator.report.headline import budget, front_records, history, tiles
from orchestrator.report.known import told
from orchestrator.report.losses import losses, why

__all__ = ["payload"]

# Above these the file would grow past what a browser or a mail server likes; the page says so.
MOST_RECORDS = 1500
MOST_CURVES = 300
MOST_TEXT = 160
SPAN_CHOICES = 5


def payload(data: ReportData) -> dict[str, Any]:
    """All that the page's script needs; finite numbers, strings, lists and dictionaries."""
    members = front_records(data)
    shown = _shown(data, members)
    steps = history(data)
    drawn = {record.number for record in (*members, *shown)[:MOST_CURVES]}
    importance = _importance(data)
    names = sorted({name for record in shown for name in record.choices})
    return {
        "title": data.title,
        "leading": label(data.leading),
        "tiles": tiles(data, members, steps),
        "columns": _columns(data),
        "choices": names,
        "records": [_row(record, data, names, record.number in drawn) for record in shown],
        "total": len(data.records),
        "front": [record.number for record in members],
        "history": steps,
        "outlook": data.outlook,
        "importance": importance,
        "span": _span(importance),
        "finalists": [finalist(entry, data) for entry in data.finalists],
        "losses": losses(data),
        "agreement": agreement(data),
        "command": data.command,
        "plan": _plan(data.plan),
        "environment": [[str(key), str(value)] for key, value in data.environment.items()],
    }


def _shown(data: ReportData, members: Sequence[Record]) -> list[Record]:
    """The front, the finalists and the latest candidates, in order of their number."""
    kept = {entry.number for entry in data.finalists}
    kept |= {record.number for record in members}
    latest = sorted(data.records, key=lambda record: (record.number not in kept, -record.number))
    return sorted(latest[:MOST_RECORDS], key=lambda record: record.number)


def _columns(data: ReportData) -> list[dict[str, Any]]:
    columns = [_column(axis.name, axis.unit) | _objective(axis) for axis in data.axes]
    known = {axis.name for axis in data.axes}
    return columns + [_column(*pair) for pair in data.reported if pair[0] not in known]


def _column(name: str, unit: str) -> dict[str, Any]:
    return {"name": name, "label": label(name), "unit": unit, "direction": ""}


def _objective(axis: Axis) -> dict[str, Any]:
    return {
        "direction": axis.direction,
        "min": axis.min,
        "max": axis.max,
        "budget": budget(axis),
    }


def _row(record: Record, data: ReportData, names: Sequence[str], drawn: bool) -> dict[str, Any]:
    known = list(zip(_names(data), _units(data), strict=True))
    figures = [_figure(record, name) for name, _ in known]
    texts = [
        "" if value is None else told(record, value, unit, leads=name == data.leading)
        for value, (name, unit) in zip(figures, known, strict=True)
    ]
    return {
        "number": record.number,
        "id": record.id,
        "outcome": record.outcome,
        "figures": figures,
        "texts": texts,
        "choices": [_plain(record.choices.get(name)) for name in names],
        "why": why(record, data),
        "origin": f"{record.earlier}: {record.origin}" if record.earlier else record.origin,
        "runtime": record.genotype.runtime or _first_runtime(data),
        "made": made(record, data),
        "seconds": round(record.seconds, 2),
        "curve": [_finite(v, 4) for v in record.curve] if drawn else [],
        "extra": [[key, text] for key, text in _extra(record.extra)][:24],
    }


def made(record: Record, data: ReportData) -> str:
    """The runtime and the steps of a candidate: "onnxruntime: trained → pruning → quantization"."""
    steps = " → ".join(("trained", *(step.name for step in record.genotype.compression)))
    runtime = record.genotype.runtime or _first_runtime(data)
    return f"{runtime}: {steps}" if runtime else steps


def _first_runtime(data: ReportData) -> str:
    """What a genotype that names none runs on; empty where the configuration does not say."""
    devices = data.plan.get("device", {})
    first = next(iter(devices.values()), None) if isinstance(devices, Mapping) else None
    return str(first.get("name", "")) if isinstance(first, Mapping) else ""


def _names(data: ReportData) -> list[str]:
    known = [axis.name for axis in data.axes]
    return known + [name for name, _ in data.reported if name not in known]


def _units(data: ReportData) -> list[str]:
    units = dict(data.reported) | {axis.name: axis.unit for axis in data.axes}
    return [units[name] for name in _names(data)]


def _figure(record: Record, name: str) -> float | None:
    return _finite(record.values.get(name, record.extra.get(name)))


def _finite(value: Any, places: int | None = None) -> float | None:
    """A number that JSON can hold, or None."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if places is None else round(value, places)


def _plain(answer: Any) -> Any:
    """A choice as number or short text; None stands for a choice that was not asked."""
    if answer is None or (isinstance(answer, int) and not isinstance(answer, bool)):
        return answer
    if isinstance(answer, float) and math.isfinite(answer):
        return float(f"{answer:.4g}")
    return str(answer)[:MOST_TEXT]


def _extra(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Everything else known of a candidate, nested names joined by dots."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += _extra(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            pairs.append((name, human(value, unit_of(name))))
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            pairs.append((name, text[:MOST_TEXT]))
    return pairs


def _importance(data: ReportData) -> list[dict[str, Any]]:
    """For each objective: its effects, with the means of the levels as text.

    Rejected candidates count where the objective is known; what a stopped one reached is not final.
    """
    tables = []
    for axis in data.axes:
        usable = [
            record
            for record in data.records
            if record.outcome in ("feasible", "rejected")
            and _finite(record.values.get(axis.name)) is not None
        ]
        found = effects([r.choices for r in usable], [r.values[axis.name] for r in usable])
        rows = [asdict(effect) for effect in found[:12]]
        for row in rows:
            row["levels"] = [
                {**level, "mean": human(level["mean"], axis.unit)} for level in row["levels"][:8]
            ]
        tables.append({"label": label(axis.name), "candidates": len(usable), "effects": rows})
    return tables


def _span(importance: Sequence[Mapping[str, Any]]) -> list[str]:
    """The choices that matter most to any objective, for the parallel coordinates."""
    shares: dict[str, float] = {}
    for table in importance:
        for effect in table["effects"]:
            name = effect["choice"]
            shares[name] = max(shares.get(name, 0.0), effect["share"])
    return sorted(shares, key=lambda name: -shares[name])[:SPAN_CHOICES]


def _plan(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Top-level keys as groups of (dotted key, text); plain values come first, unnamed."""
    single = {key: value for key, value in plan.items() if not isinstance(value, Mapping)}
    groups: list[tuple[str, Mapping[str, Any]]] = [("", single)] if single else []
    groups += [(key, value) for key, value in plan.items() if isinstance(value, Mapping)]
    return [{"name": name, "rows": [list(p) for p in _facts(group)]} for name, group in groups]


def _facts(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            pairs += _facts(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            pairs.append((f"{prefix}{key}", ", ".join(map(str, value))))
        else:
            pairs.append((f"{prefix}{key}", "none" if value is None else str(value)))
    return pairs
