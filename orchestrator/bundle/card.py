"""A finalist's card: its figures, its data, how to run it and how to rebuild it, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.analysis.display import marked
from orchestrator.bundle.card_figures import (
    class_by_class,
    files_section,
    leading_figures,
    measured_on,
)
from orchestrator.bundle.tables import pairs, shown
from orchestrator.records import Credit, Genotype

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
        *leading_figures(facts),
        *class_by_class(facts),
        *files_section(facts),
        "## Data",
        f"{size} × {size} pixels, {channels} channels, {len(classes)} classes: "
        f"{', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}. Pixels are scaled to "
        f"[0, 1]; then {shown(facts['mean'])} is subtracted and what is left divided by "
        f"{shown(facts['deviation'])}, channel by channel.",
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
        pairs({"label": "file"} | {n: a["file"] for n, a in facts["artifacts"].items()}),
        *measured_on(facts),
        pairs({"package": "version"} | dict(facts["versions"])),
    ]
    return "\n\n".join(parts) + "\n"


def _head(genotype: Mapping[str, Any]) -> str:
    """What it is for and its head, where that is not the space's own classifier."""
    if not genotype.get("head"):
        return ""
    choices = ", ".join(f"{name} {shown(value)}" for name, value in genotype["head"].items())
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
    return ["## Starting weights", pairs(rows), *([more] if credit.unlicensed else [])]


def _steps(genotype: Genotype) -> str:
    taken = {step.name: shown(step.choices) for step in genotype.compression if step.choices}
    return pairs({"compressor": "choices"} | taken)


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
