"""The figures of a card: what each belongs to, of how many images, how far it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.analysis.confusion import Pairs, matrix, mistakes
from orchestrator.analysis.display import counted, human, label, timed, unit_of
from orchestrator.bundle.tables import pairs, shown, table
from orchestrator.errors import plural
from orchestrator.records import Latency, ShippedFile

__all__ = ["class_by_class", "files_section", "leading_figures", "measured_on"]

# As a matrix more classes are read by nobody; their commonest mistakes are told.
MOST_CLASSES = 12
MOST_MISTAKES = 10


def leading_figures(facts: Mapping[str, Any]) -> list[str]:
    """Whose figures these are, and each with its unit and interval."""
    figures, file = facts["figures"], _lead(facts)
    latencies = file.latencies if file else {}
    rows = {name: _figure(name, value, figures, latencies) for name, value in figures.items()}
    told = [pairs({"figure": "value"} | rows)]
    if file is None:
        return told
    images = figures.get("test_images")
    counted_on = f" ({plural(images, 'image')})" if images else ""
    where = ", ".join(f"`{name}`" for name in file.latencies) or "no device"
    return [
        f"Of `{file.file.rpartition('/')[2]}` ({file.label}), executed by {file.runtime}. What is "
        f"called test was counted on the test split{counted_on}, which neither training nor "
        "picking has seen; in brackets is what a share lies between in 19 of 20 samples of as many "
        "images (Wilson 1927). A latency is that of one image at a time, on "
        f"{where}; in brackets is what it is known to lie between.",
        *told,
        *_elsewhere(facts, file),
    ]


def _elsewhere(facts: Mapping[str, Any], first: ShippedFile) -> list[str]:
    """What each further device is recommended, where that is another file."""
    named = {told["label"]: ShippedFile.from_json(told) for told in facts["files"]}
    rows = [["device", "its file", "executed by", "test", "latency", "recommended"]]
    for device, name in facts.get("leads", {}).items():
        file = named[name]
        if file is first or name == first.label:
            continue
        latency = file.latencies.get(device)
        fit = "yes" if file.recommended else "no: " + "; ".join(file.marks)
        cells = counted(file.reached, facts["figures"].get("test_images", 0))
        told = [f"{file.file.rpartition('/')[2]} ({name})", file.runtime, cells]
        rows.append([device, *told, timed(latency) if latency else "–", fit])
    return [table(rows)] if len(rows) > 1 else []


def _lead(facts: Mapping[str, Any]) -> ShippedFile | None:
    files = [ShippedFile.from_json(told) for told in facts.get("files", ())]
    return next((file for file in files if file.label == facts.get("recommended")), None)


def _figure(
    name: str, value: Any, figures: Mapping[str, Any], latencies: Mapping[str, Latency]
) -> str:
    """With its unit, and its interval where that is known."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return shown(value)
    for device, latency in latencies.items():
        if name.startswith("latency_ms") and latency.ms == value:
            return f"{timed(latency)} on {device}"
    split, _, metric = name.partition("_")
    images = figures.get(f"{split}_images")
    if images and metric in ("accuracy", "top5"):
        return f"{counted(value, images)} of {plural(images, 'image')}"
    unit = unit_of(name)
    return human(value, unit) if unit else shown(value)


def class_by_class(facts: Mapping[str, Any]) -> list[str]:
    """What each class is worth on the test split, and what is taken for what."""
    judged = facts.get("class_figures", {})
    if not judged:
        return []
    of_images = bool(facts["figures"].get("test_images"))
    heads = list(dict.fromkeys(name for figures in judged.values() for name in figures))
    rows = [
        [name, *(_of_class(head, figures, of_images) for head in heads)]
        for name, figures in judged.items()
    ]
    parts = ["### Class by class", table([["class", *heads], *rows])]
    return parts + _confusions(
        list(judged), [tuple(found) for found in facts.get("confusions", ())]
    )


def _of_class(head: str, figures: Mapping[str, float], of_images: bool) -> str:
    if head not in figures:
        return "–"
    if of_images and head == "accuracy":
        return counted(figures[head], figures.get("count"))
    return human(figures[head], unit_of(head)) if unit_of(head) else shown(figures[head])


def _confusions(names: Sequence[str], found: Pairs) -> list[str]:
    """A matrix of few classes, the commonest mistakes of many."""
    if not found:
        return []
    every, counts = matrix(names, found)
    if len(every) <= MOST_CLASSES:
        rows = [[name, *map(str, row)] for name, row in zip(every, counts, strict=True)]
        return [table([["true ↓ answered →", *every], *rows])]
    told = [[each.truth, each.answer, each.told] for each in mistakes(found)]
    rest = len(told) - MOST_MISTAKES
    more = [f"And {plural(rest, 'rarer one')}."] if rest > 0 else []
    return [table([["true", "taken for", "how often"], *told[:MOST_MISTAKES]]), *more]


def files_section(facts: Mapping[str, Any]) -> list[str]:
    """Each file with figures of its own, in the order in which one was made of the other."""
    files = [ShippedFile.from_json(told) for told in facts.get("files", ())]
    if not files:
        return []
    known = set().union(*(file.values for file in files))
    heads = ["file", "runtime", "steps", "test", "MACs", "size", "latency", "agreement", "marks"]
    more = sorted(name for name in known if not _shown_already(name, files))
    rows = [heads[:-1] + [label(name) for name in more] + heads[-1:]]
    count = facts["figures"].get("test_images", 0)
    for file in files:
        cells = _file_cells(file, count)
        told = [human(file.values[n], unit_of(n)) if n in file.values else "–" for n in more]
        rows.append([*cells[:-1], *told, cells[-1]])
    told_once = ["## The files, step by step", _FILES_SAY, table(rows)]
    return [*told_once, *_clocks(files), *_in_float(files)]


_FILES_SAY = (
    "Every row is a file of this folder, its test figure with what it lies between in 19 of 20 "
    "samples of as many images, its latency as the interval that it is known to. A step is to be "
    "compared with the row that its file was made of. Agreement is with the exact float file."
)


def _shown_already(name: str, files: Sequence[ShippedFile]) -> bool:
    """Whether an objective is a column of its own: test metric, MACs, size, a latency."""
    plain = name.partition("@")[0]
    leading = all(file.values.get(name) == file.reached for file in files)
    return leading or plain in ("macs", "size_bytes", "latency_ms")


def _file_cells(file: ShippedFile, count: int) -> list[str]:
    starred = " ★" if file.recommended else ""
    return [
        f"{file.label}{starred}",
        file.runtime,
        " → ".join(("trained", *file.steps)),
        counted(file.reached, count),
        "–" if file.macs is None else human(file.macs, ""),
        human(file.size_bytes, "bytes"),
        timed(file.latency) if file.latency else "–",
        "exact" if file.agreement is None else human(file.agreement, "share"),
        "; ".join([*file.picks, *file.marks]) or "–",
    ]


def _in_float(files: Sequence[ShippedFile]) -> list[str]:
    """Which layers of files that compute with integers are left, and what they cost."""
    rows = {file.label: "; ".join(file.in_float) for file in files if file.in_float}
    return [pairs({"file": "layers that stayed in float"} | rows)] if rows else []


def _clocks(files: Sequence[ShippedFile]) -> list[str]:
    """Each latency with its device and runtime: what the clock said, and what it comes of."""
    heads = ["file", "device", "runtime", "latency", "× the reference network"]
    rows = [[*heads, "least", "median", "95 of 100 below", "runs"]]
    for file in files:
        for device, lat in file.latencies.items():
            clock = [human(ms, "ms") for ms in (lat.low_ms, lat.median_ms, lat.high_ms)]
            what = [file.label, device, file.runtime, timed(lat), f"{lat.ratio:.4g}"]
            rows.append([*what, *clock, str(lat.runs)])
    return [table(rows)] if len(rows) > 1 else []


def measured_on(facts: Mapping[str, Any]) -> list[str]:
    """What latencies on each device depend on."""
    told = {name: ", ".join(found.values()) for name, found in facts.get("measured_on", {}).items()}
    return [pairs({"device": "latencies were measured on"} | told)] if told else []
