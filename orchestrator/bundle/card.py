"""A finalist's card: its figures, its data, how to run it and how to rebuild it, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.analysis.display import marked
from orchestrator.bundle.card_figures import (
    class_by_class,
    files_section,
    leading_figures,
    measured_on,
)
from orchestrator.bundle.tables import pairs, plain, shown, table
from orchestrator.contracts import PixelRecipe
from orchestrator.contracts.pixel_reading import reader_source
from orchestrator.data import DataSummary
from orchestrator.errors import plural
from orchestrator.records import Credit, Genotype

__all__ = ["card"]


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
        f"{size} × {size} pixels, {plural(channels, 'channel')}, {plural(len(classes), 'class')}: "
        f"{plain(', '.join(classes[:20]))}{', …' if len(classes) > 20 else ''}. Pixels are scaled "
        f"to [0, 1]; then {shown(facts['mean'])} is subtracted and what is left divided by "
        f"{shown(facts['deviation'])}, channel by channel.",
        *_pixels(facts.get("pixels")),
        *_images(facts.get("data")),
        f"Licence of the data: {plain(facts['licence'])}.",
        *_start(facts.get("start")),
        *_teachers(facts.get("taught_by", [])),
        "## Compression",
        _steps(Genotype.from_json(genotype)),
        "## Run it",
        _how_to_run(facts),
        *_on_other_devices(facts),
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
    hashed = "" if credit.checked else " (not checked: no sha256 is listed for it)"
    exact = "the released one" if credit.exact else "only near to the released one"
    rows = {
        "weights": "what they are",
        "name": f"{credit.name} (network {credit.member}, {plural(credit.classes, 'class')})",
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


def _teachers(keys: Sequence[str]) -> list[str]:
    """Who of the search taught it beside the labels; nothing where nobody did."""
    if not keys:
        return []
    named = ", ".join(f"`{plain(key)}`" for key in keys)
    return [
        "## Teachers",
        "Half of what it was trained towards are labels, the other half what networks of the same "
        f"search say of an image, in the mean: {named}.",
    ]


def _steps(genotype: Genotype) -> str:
    taken = {step.name: shown(step.choices) for step in genotype.compression if step.choices}
    return pairs({"compressor": "choices"} | taken)


def _how_to_run(facts: Mapping[str, Any]) -> str:
    chosen, size, channels = facts["recommended"], facts["image_size"], facts["in_channels"]
    if chosen is None:
        return "No file is recommended: rebuild the network."
    name = facts["artifacts"][chosen]["file"]
    usage, pixels = facts.get("usage"), facts.get("pixels")
    if usage is None or pixels is None:
        return f"`{name}` takes float32 (N, {channels}, {size}, {size}), scaled as said above."
    return f"""`python -m orchestrator predict FOLDER IMAGES`, or without Orchestrator, in this
folder with numpy, pillow and {" and ".join(usage["packages"])}.
The functions read a file as in training.

```python
from __future__ import annotations
import json, pathlib, numpy as np

{reader_source()}


facts = json.loads(pathlib.Path("genotype.json").read_text("utf-8"))
pixels = read_pixels("photo.png", facts["pixels"])[None]  # uint8 (1, C, H, W)
mean, deviation = (np.float32(facts[name]).reshape(1, -1, 1, 1) for name in ("mean", "deviation"))
images = pixels.astype(np.float32) * (1 / (255 * deviation)) + (-mean / deviation)
{usage["lines"]}
{_answer(facts.get("stride"))}
```"""


def _on_other_devices(facts: Mapping[str, Any]) -> list[str]:
    """How each further device's file is run; nothing where all devices run the same one."""
    parts = []
    for device, label in facts.get("leads", {}).items():
        if label == facts["recommended"]:
            continue
        name, usage = facts["artifacts"][label]["file"], facts.get("usages", {}).get(label)
        parts.append(f"### On {device}")
        if usage is None:
            parts.append(f"`{name}` takes the same images.")
            continue
        parts.append(
            f"`{name}`: `python -m orchestrator predict FOLDER IMAGES --file {label}`, or the same "
            f"code, with {' and '.join(usage['packages'])}, where `logits` come of these lines:\n\n"
            f"```python\n{usage['lines']}\n```"
        )
    return parts


def _pixels(recipe: Mapping[str, Any] | None) -> list[str]:
    """How a file becomes pixels; nothing for a folder that does not say."""
    return [] if recipe is None else [PixelRecipe.from_json(recipe).told]


def _images(told: Mapping[str, Any] | None) -> list[str]:
    """What it was trained, chosen and tested on; nothing for a folder that does not say."""
    if told is None:
        return []
    found = DataSummary.from_json(told)
    splits = ", ".join(f"{name} `{text}`" for name, text in found.fingerprints.items())
    lost = "; ".join(f"{count} {plain(why)}" for why, count in found.left_out.items())
    heads = ["class", *(f"{name} images" for name in found.by_class)]
    rows = zip(found.classes, *found.by_class.values(), strict=found.by_class != {})
    counted = [heads, *([str(each) for each in row] for row in rows)]
    return [
        f"The images: {plain(found.told)}. Fingerprints: {splits}.",
        *([f"Left out: {lost}."] if lost else []),
        *(f"**{plain(text)}**" for text in found.warnings),
        *([table(counted)] if found.by_class else []),
    ]


def _answer(stride: int | None) -> str:
    """From `logits` to what people want: a class, or a mask of the square that was cut out."""
    if stride is None:
        return 'print(facts["classes"][logits.argmax()])'
    return f"""# Maps (1, classes, h, w), of which a place stands for {stride} × {stride} pixels.
from PIL import Image
side = facts["pixels"]["size"]
maps = [Image.fromarray(map).resize((side, side), Image.BILINEAR) for map in logits[0]]
mask = np.stack(maps).argmax(0)  # each pixel's class, of the square that the network sees
Image.fromarray(mask.astype(np.uint8)).save("mask.png")
print({{facts["classes"][number]: int((mask == number).sum()) for number in np.unique(mask)}})"""
