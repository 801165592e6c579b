"""A finalist's card: its files step by step, each with figures of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.analysis.display import clock, counted, human, label, timed, unit_of
from orchestrator.errors import plural
from orchestrator.records import Finalist, ShippedFile
from orchestrator.report.confusion import confusion
from orchestrator.report.data import ReportData

__all__ = ["finalist"]

BEFORE = "fp32"
# A smaller change of a share, in percentage points, is called neither good nor bad.
NOTABLE_POINTS = 0.5
# Unit → words for a factor of gain and of loss.
_WORDS = {"ms": ("faster", "slower"), "s": ("faster", "slower"), "bytes": ("smaller", "larger")}


def finalist(entry: Finalist, data: ReportData) -> dict[str, Any]:
    """`entry` for the page: texts, plain figures, and pairs of before and after."""
    figures = entry.figures
    units = {name: _unit(name, data) for name in figures}
    pairs = {name: _before(name, figures) for name in figures}
    paired = [name for name, before in pairs.items() if before]
    hidden = {name for name in figures if name.startswith("seeds")}
    hidden |= {*paired, *pairs.values(), *(_in_table(data) if entry.files else ())}
    return {
        "id": entry.id,
        "number": entry.number,
        "numbers": _numbers(entry),
        "name": entry.name or entry.id,
        "picks": [_need(need) for need in entry.picks],
        "marks": list(entry.marks),
        "recommended": entry.recommended,
        "verified": entry.verified,
        "folder": entry.folder,
        "pairs": [_pair(name, pairs[name], figures, units[name]) for name in paired],
        "figures": [
            {"label": label(name), "text": _weighed(name, entry, units[name], data)}
            for name, value in figures.items()
            if name not in hidden
        ]
        + _seeds(figures, data.leading),
        "files": [_file(file, entry) for file in entry.files],
        "label": entry.label,
        "classes": _classes(entry, data),
        "confusion": confusion(entry),
        "pictures": [_pictures(shown) for shown in entry.pictures],
    }


def _weighed(name: str, entry: Finalist, unit: str, data: ReportData) -> str:
    """A figure with its interval, where it is a share of a split's images."""
    split, _, metric = name.partition("_")
    value, images = entry.figures[name], entry.figures.get(f"{split}_images")
    if images and metric in (data.leading, "top5") and _number(value):
        return counted(value, images)
    return _text(value, unit)


def _seeds(figures: Mapping[str, Any], leading: str) -> list[dict[str, str]]:
    """What several trainings reached before compression; nothing where there was but one."""
    if "seeds" not in figures:
        return []
    mean, low, high = (
        100 * figures[f"seeds_{which}_{leading}"] for which in ("mean", "lowest", "highest")
    )
    name = f"{label(leading)} of {plural(figures['seeds'], 'seed')}, on validation"
    return [{"label": name, "text": f"{mean:.1f} % on average, {low:.1f} to {high:.1f}"}]


def _in_table(data: ReportData) -> set[str]:
    """Figures that the table of files tells of each file."""
    return {f"test_{data.leading}", "latency_ms", "size_bytes", "macs", "agreement"}


def _numbers(entry: Finalist) -> list[int]:
    """Of the candidates that its files were; its own where they were none."""
    found = dict.fromkeys(file.number for file in entry.files if file.number is not None)
    return list(found) or [entry.number]


def _file(file: ShippedFile, entry: Finalist) -> dict[str, Any]:
    """A row of the table of files, and what the clock said beside it."""
    images, latency = entry.figures.get("test_images"), file.latency
    return {
        "label": file.label,
        "name": file.file.rpartition("/")[2],
        "runtime": file.runtime,
        "steps": " → ".join(("trained", *file.steps)),
        "recommended": file.recommended,
        "verified": file.verified,
        "leads": file.label == entry.label,
        "leads_on": [device for device, name in entry.leads.items() if name == file.label],
        "cells": [
            counted(file.reached, images),
            timed(latency) if latency else "–",
            human(file.size_bytes, "bytes"),
            "–" if file.macs is None else human(file.macs, ""),
            "exact" if file.agreement is None else human(file.agreement, "share"),
        ],
        "clock": [f"{device}: {clock(found)}" for device, found in file.latencies.items()],
        "picks": [_need(need) for need in file.picks],
        "alike": [_alike(need, names) for need, names in file.rivals.items()],
        "marks": list(file.marks),
    }


def _alike(need: str, names: Sequence[str]) -> str:
    return f"{_need(need)}: not distinguishable from {', '.join(names)}"


def _classes(entry: Finalist, data: ReportData) -> dict[str, Any]:
    """A table of what each class is worth: heads, and rows with the class' colour in pictures."""
    judged, colours = entry.classes, entry.colours
    of_images = data.leading if entry.figures.get("test_images") else ""
    heads = list(dict.fromkeys(name for figures in judged.values() for name in figures))
    rows = [
        {
            "name": name,
            "colour": _colour(colours.get(name)),
            "cells": [_class_text(head, figures, of_images) for head in heads],
        }
        for name, figures in judged.items()
    ]
    return {"heads": [label(head) for head in heads], "rows": rows}


def _class_text(head: str, figures: Mapping[str, float], of_images: str) -> str:
    """Everything but a count is a share; that which is one of images has its interval."""
    value = figures.get(head)
    if value is None or not _number(value):
        return "–"
    if head == of_images:
        return counted(value, figures.get("count"))
    return _text(value, "" if head == "count" else "share")


def _colour(text: Any) -> str:
    """A colour such as #80c000; empty for anything else, as it goes into a style."""
    return str(text) if re.fullmatch(r"#[0-9a-f]{6}", str(text)) else ""


def _pictures(shown: Mapping[str, str]) -> list[dict[str, str]]:
    """Pictures of one image by what they show; those that are no embedded PNG are left out."""
    kept = {name: uri for name, uri in shown.items() if uri.startswith("data:image/png;base64,")}
    return [{"label": name, "uri": uri} for name, uri in kept.items()]


def _before(name: str, figures: Mapping[str, Any]) -> str:
    """The name of the same figure before compression, or an empty text."""
    for other in figures:
        parts = other.split("_")
        plain = "_".join(part for part in parts if part != BEFORE)
        both = _number(figures[name]) and _number(figures[other])
        if BEFORE in parts and plain == name and both:
            return other
    return ""


def _pair(name: str, before: str, figures: Mapping[str, Any], unit: str) -> dict[str, Any]:
    old, new = float(figures[before]), float(figures[name])
    most = max(abs(old), abs(new)) or 1.0
    verdict, good = _verdict(old, new, unit)
    return {
        "label": label(name),
        "before": human(old, unit),
        "after": human(new, unit),
        "before_share": abs(old) / most,
        "after_share": abs(new) / most,
        "verdict": verdict,
        "good": good,
    }


def _verdict(old: float, new: float, unit: str) -> tuple[str, bool | None]:
    """In words what changed, and whether that is welcome; None within measuring error."""
    if unit == "share":
        points = 100 * (new - old)
        good = points > 0 if abs(points) >= NOTABLE_POINTS else None
        return f"{points:+.1f} points".replace("-", "−"), good
    if min(old, new) <= 0:
        return "", None
    better, worse = _WORDS.get(unit, ("less", "more"))
    ratio = old / new
    if 0.97 < ratio < 1.03:
        return "unchanged", None
    return (_times(ratio, better), True) if ratio > 1 else (_times(1 / ratio, worse), False)


def _times(ratio: float, word: str) -> str:
    """In words; a small gain as a share of the larger, because 1.0× would look like none."""
    return f"{ratio:.1f}× {word}" if ratio >= 1.15 else f"{100 * (1 - 1 / ratio):.0f} % {word}"


def _unit(name: str, data: ReportData) -> str:
    known = {axis.name: axis.unit for axis in data.axes} | dict(data.reported)
    plain = "_".join(part for part in name.split("_") if part != BEFORE)
    return known.get(name) or known.get(plain) or unit_of(name)


def _text(value: Any, unit: str) -> str:
    return human(float(value), unit) if _number(value) else str(value)


def _need(text: str) -> str:
    """A pick in words: "lowest latency_ms" → "lowest latency"."""
    return " ".join(label(word) for word in text.split())


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
