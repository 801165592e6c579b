"""Why candidates were lost: rejected by a budget, stopped early, or failed at a step."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Any

from orchestrator.analysis.display import human, label, unit_of
from orchestrator.records import Record
from orchestrator.report.data import ReportData

__all__ = ["losses", "why"]

MOST_GROUPS = 40
MOST_ERROR = 6000
MOST_LINE = 240


def why(record: Record, data: ReportData) -> str:
    """One line that says why a candidate is not feasible; empty for one that is."""
    if record.outcome == "rejected" and record.violations:
        parts = [_excess(name, by, data) for name, by in record.violations.items()]
        return ", ".join(parts)
    if record.outcome == "failed":
        return f"{record.step or 'unknown step'}: {_headline(record)}"
    return record.reason[:MOST_LINE]


def losses(data: ReportData) -> dict[str, list[dict[str, Any]]]:
    """Each outcome's reasons, the most frequent first, with the numbers of the candidates."""
    by_outcome = {
        kind: [record for record in data.records if record.outcome == kind]
        for kind in ("rejected", "stopped", "failed")
    }
    return {
        "rejected": _rejected(by_outcome["rejected"], data),
        "stopped": _grouped(
            [(r.reason or "no reason given", "", r) for r in by_outcome["stopped"]]
        ),
        "failed": _grouped([(_headline(r), r.step, r) for r in by_outcome["failed"]]),
    }


def _rejected(records: Sequence[Record], data: ReportData) -> list[dict[str, Any]]:
    rows = []
    for name in dict.fromkeys(name for record in records for name in record.violations):
        broken = [record for record in records if name in record.violations]
        median = statistics.median(abs(record.violations[name]) for record in broken)
        text = f"{label(name)} over budget, by {human(median, _unit(name, data))} in the median"
        rows.append(_group(text, "", broken))
    plain = [record for record in records if not record.violations]
    rows += _grouped([(r.reason or "no reason given", "", r) for r in plain])
    return sorted(rows, key=lambda row: -row["count"])[:MOST_GROUPS]


def _grouped(entries: Sequence[tuple[str, str, Record]]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for text, step, record in entries:
        groups.setdefault((text[:MOST_LINE], step), []).append(record)
    rows = [_group(text, step, records) for (text, step), records in groups.items()]
    return sorted(rows, key=lambda row: -row["count"])[:MOST_GROUPS]


def _group(text: str, step: str, records: Sequence[Record]) -> dict[str, Any]:
    """`error` is the first one in full: what is alike has been gathered under it."""
    error = next((record.error for record in records if record.error), "")
    return {
        "text": text,
        "step": step,
        "count": len(records),
        "numbers": [record.number for record in records[:60]],
        "error": error if len(error) <= MOST_ERROR else f"…{error[-MOST_ERROR:]}",
    }


def _headline(record: Record) -> str:
    """The last line of an error, which names it; or the reason."""
    lines = [line.strip() for line in record.error.splitlines() if line.strip()]
    last = re.sub(r"^(\w+\.)+(?=\w+:)", "", lines[-1]) if lines else "no message"
    return (record.reason or last)[:MOST_LINE]


def _excess(name: str, by: float, data: ReportData) -> str:
    return f"{label(name)} over budget by {human(abs(by), _unit(name, data))}"


def _unit(name: str, data: ReportData) -> str:
    known = {axis.name: axis.unit for axis in data.axes} | dict(data.reported)
    return known.get(name, unit_of(name))
