"""A finalist's card: its figures, its data, how to run it and how to rebuild it, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.analysis.display import human, interval, label, marked, timed, unit_of
from orchestrator.records import Credit, Genotype, ShippedFile

__all__ = ["card"]

# Input channels → what Pillow calls such an image.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def card(facts: Mapping[str, Any]) -> str:
    """The text of card.md from the contents of genotype.json."""
    genotype = facts["genotype"]
    size, channels, classes = facts["image_size"], facts["in_channels"], facts["classes"]
    parts = [
        f"# {genotype['space']} {facts['id']}",
        f"A network of the space `{genotype['space']}` (preset `{genotype['preset']}`)"
        f"{_head(genotype)}, found by Orchestrator's architecture search.",
        "## Figures",
        _table({"figure": "value"} | {name: _shown(v) for name, v in facts["figures"].items()}),
        *_class_by_class(facts.get("class_figures", {})),
        *_files(facts),
        "## Data",
        f"{size} × {size} pixels, {channels} channels, {len(classes)} classes: "
        f"{', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}. Pixels are scaled to "
        f"[0, 1]; then {_shown(facts['mean'])} is subtracted and what is left divided by "
        f"{_shown(facts['deviation'])}, channel by channel.",
        f"Licence of the data: {facts['licence']}.",
        *_start(facts.get("start")),
        "## Compression",
        _steps(Genotype.from_json(genotype)),
        "## Run it",
        _how_to_run(facts),
        "## Rebuild it",
        "`python -m orchestrator rebuild FOLDER`, or in Python:",
        "```python\nfrom pathlib import Path\nfrom orchestrator.bundle import rebuild, verify\n"
        'network = rebuild(Path("."))  # a torch.nn.Module\nverify(Path("."))\n```',
        "## Files and versions",
        _table({"label": "file"} | {n: a["file"] for n, a in facts["artifacts"].items()}),
        *_measured_on(facts),
        _table({"package": "version"} | dict(facts["versions"])),
    ]
    return "\n\n".join(parts) + "\n"


def _head(genotype: Mapping[str, Any]) -> str:
    """What it is for and its head, where that is not the space's own classifier."""
    if not genotype.get("head"):
        return ""
    choices = ", ".join(f"{name} {_shown(value)}" for name, value in genotype["head"].items())
    return f" with a head for {genotype['task']} ({choices})"


def _start(told: Mapping[str, Any] | None) -> list[str]:
    """Whom the weights that it started from are owed to; nothing where it started from noise."""
    if told is None:
        return []
    credit = Credit.from_json(told)
    hashed = "" if credit.checked else " (not checked: publisher tells no sha256)"
    exact = "the released one" if credit.exact else "only near to the released one"
    rows = {
        "weights": "what they are",
        "name": f"{credit.name} (network {credit.member}, {credit.classes} classes)",
        "source": credit.source,
        "sha256": f"{credit.sha256}{hashed}",
        "licence": marked(credit.licence),
        "owed to": credit.credit,
        "data": credit.data,
        "function": exact,
        "taken": f"{credit.part}; of each tensor, what this network has room for",
    }
    more = "Nobody says under which licence these weights are: ask before you pass this network on."
    return ["## Starting weights", _table(rows), *([more] if credit.unlicensed else [])]


def _steps(genotype: Genotype) -> str:
    taken = {step.name: _shown(step.choices) for step in genotype.compression if step.choices}
    return _table({"compressor": "choices"} | taken)


def _class_by_class(judged: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What each class is worth on the test split; nothing where the task does not tell."""
    if not judged:
        return []
    heads = list(dict.fromkeys(name for figures in judged.values() for name in figures))
    rows = [
        [_cell(name), *(_shown(figures[head]) if head in figures else "–" for head in heads)]
        for name, figures in judged.items()
    ]
    lines = [["class", *heads], ["---"] * (len(heads) + 1), *rows]
    return ["### Class by class", "\n".join(f"| {' | '.join(line)} |" for line in lines)]


def _table(rows: Mapping[str, str]) -> str:
    """A Markdown table whose first item is the heading; "None." if there is nothing below."""
    (first, second), *others = [(_cell(name), _cell(value)) for name, value in rows.items()]
    if not others:
        return "None."
    lines = [f"| {first} | {second} |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {value} |" for name, value in others])


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _files(facts: Mapping[str, Any]) -> list[str]:
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
    rows.insert(1, ["---"] * len(rows[0]))
    table = "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)
    return ["## The files, step by step", _FILES_SAY, table, *_clocks(files), *_in_float(files)]


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
        interval(file.reached, count) if count else human(file.reached, "share"),
        "–" if file.macs is None else human(file.macs, ""),
        human(file.size_bytes, "bytes"),
        timed(file.latency) if file.latency else "–",
        "exact" if file.agreement is None else human(file.agreement, "share"),
        "; ".join([*file.picks, *file.marks]) or "–",
    ]


def _in_float(files: Sequence[ShippedFile]) -> list[str]:
    """Which layers of files that compute with integers are left, and what they cost."""
    rows = {file.label: "; ".join(file.in_float) for file in files if file.in_float}
    return [_table({"file": "layers that stayed in float"} | rows)] if rows else []


def _clocks(files: Sequence[ShippedFile]) -> list[str]:
    """What the clock said, and the ratio to the reference network that milliseconds come of."""
    found = [(file, name, lat) for file in files for name, lat in file.latencies.items()]
    if not found:
        return []
    rows = [["file", "device", "ratio", "least", "median", "95 of 100", "runs"]]
    for file, name, lat in found:
        clock = [human(ms, "ms") for ms in (lat.low_ms, lat.median_ms, lat.high_ms)]
        rows.append([file.label, name, f"{lat.ratio:.4g}", *clock, str(lat.runs)])
    rows.insert(1, ["---"] * len(rows[0]))
    return ["\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)]


def _measured_on(facts: Mapping[str, Any]) -> list[str]:
    told = {name: ", ".join(found.values()) for name, found in facts.get("measured_on", {}).items()}
    return [_table({"device": "latencies were measured on"} | told)] if told else []


def _how_to_run(facts: Mapping[str, Any]) -> str:
    chosen, size, channels = facts["recommended"], facts["image_size"], facts["in_channels"]
    if chosen is None:
        return "No file is recommended: rebuild the network."
    name = facts["artifacts"][chosen]["file"]
    usage = facts.get("usage")
    if usage is None or channels not in _MODES:
        return f"`{name}` takes float32 (N, {channels}, {size}, {size}), scaled as said above."
    return f"""In this folder, with numpy, pillow and {" and ".join(usage["packages"])}:

```python
import json, pathlib, numpy as np, PIL.Image
facts = json.loads(pathlib.Path("genotype.json").read_text("utf-8"))
photo = PIL.Image.open("photo.png")
image = photo.convert("{_MODES[channels]}").resize(({size}, {size}))
pixels = np.asarray(image, np.float32).reshape({size}, {size}, {channels}) / 255
pixels = (pixels - np.float32(facts["mean"])) / np.float32(facts["deviation"])  # (H, W, C)
images = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])  # (1, C, H, W)
{usage["lines"]}
{_answer(facts.get("stride"))}
```"""


def _answer(stride: int | None) -> str:
    """From `logits` to what people want: a class, or a mask of the photo's size."""
    if stride is None:
        return 'print(facts["classes"][logits.argmax()])'
    return f"""# Maps (1, classes, h, w), of which a place stands for {stride} × {stride} pixels.
maps = [PIL.Image.fromarray(map).resize(photo.size, PIL.Image.BILINEAR) for map in logits[0]]
mask = np.stack(maps).argmax(0)  # each pixel's class
PIL.Image.fromarray(mask.astype(np.uint8)).save("mask.png")
print({{facts["classes"][number]: int((mask == number).sum()) for number in np.unique(mask)}})"""
