"""What a ShuffleNetV2 may be, its published networks, and those of single-path one-shot.

Ma et al. 2018, arXiv:1807.11164, table 5, and Guo et al. 2019, arXiv:1904.00420; both
released in megvii-model/ShuffleNet-Series, the block search in megvii-model/SinglePathOneShot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator import Published
from orchestrator_spaces.blocks.members import scaled
from orchestrator_spaces.blocks.questions import Range

__all__ = ["TABLES", "Layout", "Table", "published_points"]

# In the order in which the one-shot paper's code numbers them.
KINDS = ("kernel3", "kernel5", "kernel7", "xception")


@dataclass(frozen=True)
class Layout:
    """Strides of the stages, 0 leaving one out, and the width of the first of them."""

    strides: tuple[int, ...]
    stem_pool: bool
    first_width: Range


@dataclass(frozen=True)
class Table:
    """What a preset may be. A later stage's width is the one before times a growth; a unit's
    middle width is half of its stage's times a ratio.
    """

    layouts: Mapping[str, Layout]
    stem_width: Range
    growths: tuple[float, ...]
    depths: tuple[Range, ...]
    kinds: tuple[str, ...]
    middle_ratios: tuple[float, ...]
    head_widths: tuple[int, ...]
    variants: bool


FULL = Table(
    # Pooling in the one layout halves the map where the other has its first stage.
    layouts={
        "three_stages": Layout((0, 2, 2, 2), stem_pool=True, first_width=Range(48, 248, 4)),
        "four_stages": Layout((2, 2, 2, 2), stem_pool=False, first_width=Range(32, 96, 16)),
    },
    stem_width=Range(16, 24, 8),
    growths=(1.5, 1.75, 2.0, 2.25, 2.5),
    depths=(Range(2, 6), Range(2, 6), Range(4, 10), Range(2, 6)),
    kinds=KINDS,
    middle_ratios=(0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0),
    head_widths=(512, 1024, 1536, 2048),
    variants=True,
)

# 32×32 in: 16×16 after the stem, which is not pooled, then 8×8, 8×8 and 4×4.
SMALL = Table(
    layouts={"small": Layout((2, 1, 2), stem_pool=False, first_width=Range(16, 48, 16))},
    stem_width=Range(8, 16, 8),
    growths=(1.5, 2.0, 2.5),
    depths=(Range(1, 3), Range(1, 4), Range(1, 3)),
    kinds=KINDS,
    middle_ratios=(0.5, 1.0, 1.5),
    head_widths=(128, 192, 256),
    variants=False,
)

TABLES = {"full": FULL, "small": SMALL}

PAPER = "Ma et al. 2018, arXiv:1807.11164"
SINGLE_PATH = "Guo et al. 2019, arXiv:1904.00420"

# Kinds (places in `KINDS`) and middle widths (in fifths of half the width) of 20 units.
SEARCHED_KINDS = (0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, 1, 0, 2, 0, 2, 1, 3, 2)
SEARCHED_FIFTHS = (7, 6, 4, 6, 3, 7, 4, 5, 3, 6, 8, 6, 5, 7, 8, 5, 5, 6, 5, 4)
BLOCK_SEARCHED_KINDS = (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)


def published_points(preset: str) -> dict[str, Published]:
    """The named points of a preset."""
    return _small() if preset == "small" else _full() | _single_path()


def _full() -> dict[str, Published]:
    official = f"{PAPER}; megvii-model/ShuffleNet-Series"
    vision = f"{PAPER}; torchvision's form and weights"
    half = {"shortcut": "half_output", "classifier_bias": True}
    x05 = _three_stages(48, 1024)
    # 24 → 48 → 96 → 192: half of the output is the input's width, so that nothing is to choose.
    del x05["shortcut"]
    x10, x15, x20 = _three_stages(116, 1024), _three_stages(176, 1024), _three_stages(244, 2048)
    bias = {"classifier_bias": True}
    return {
        "2.0x": Published(x20, 224, official, 7_402_600, 590_783_000, 74.9),
        "1.5x": Published(x15, 224, official, 3_506_720, 298_970_656, 72.6),
        "1.0x": Published(x10, 224, official, 2_278_760, 145_814_296, 69.4),
        "0.5x": Published(x05, 224, official, 1_365_792, 40_476_448, 60.3),
        "2.0x-torchvision": Published(x20 | half, 224, vision, 7_393_996, 583_253_464, 76.23),
        "1.5x-torchvision": Published(x15 | half, 224, vision, 3_503_624, 295_759_392, 72.996),
        "1.0x-torchvision": Published(x10 | half, 224, vision, 2_278_604, 144_907_992, 69.362),
        "0.5x-torchvision": Published(x05 | bias, 224, vision, 1_366_792, 40_476_448, 60.552),
    }


def _three_stages(width: int, head: int) -> dict[str, Any]:
    choices = {
        "layout": "three_stages",
        "stem.width": 24,
        "stages.1.width": width,
        "stages.2.growth": 2.0,
        "stages.3.growth": 2.0,
        "shortcut": "keep_input",
        "classifier_bias": False,
        "head.width": head,
    }
    return choices | _units((0, 4, 8, 4), [0] * 16, [5] * 16)


def _single_path() -> dict[str, Published]:
    series = f"{SINGLE_PATH}; megvii-model/ShuffleNet-Series"
    blocks = f"{SINGLE_PATH}; megvii-model/SinglePathOneShot"
    both = _four_stages(SEARCHED_KINDS, SEARCHED_FIFTHS)
    kinds = _four_stages(BLOCK_SEARCHED_KINDS, [5] * 20)
    return {
        "spos-blocks-channels": Published(both, 224, series, 3_432_579, 327_857_920, 74.9),
        "spos-blocks": Published(kinds, 224, blocks, 3_558_464, 322_918_720, 74.4),
    }


def _four_stages(kinds: Sequence[int], fifths: Sequence[int]) -> dict[str, Any]:
    choices = {
        "layout": "four_stages",
        "stem.width": 16,
        "stages.0.width": 64,
        "stages.1.growth": 2.5,
        "stages.2.growth": 2.0,
        "stages.3.growth": 2.0,
        "shortcut": "keep_input",
        "classifier_bias": False,
        "head.width": 1024,
    }
    return choices | _units((4, 4, 8, 4), kinds, fifths)


def _units(depths: Sequence[int], kinds: Sequence[int], fifths: Sequence[int]) -> dict[str, Any]:
    """Stages of depth 0 are left out; `kinds` and `fifths` have one entry a unit."""
    choices: dict[str, Any] = {"resolution": 1.0}
    described = iter(zip(kinds, fifths, strict=True))
    for index, depth in enumerate(depths):
        if depth:
            choices[f"stages.{index}.depth"] = depth
        for unit in range(depth):
            kind, fifth = next(described)
            choices[f"stages.{index}.units.{unit}.kind"] = KINDS[kind]
            choices[f"stages.{index}.units.{unit}.middle_ratio"] = fifth / 5
    return choices


def _small() -> dict[str, Published]:
    how = "half of the depth, narrower, stages at 8×8, 8×8 and 4×4, torchvision's form"
    points = {
        "1.5x": _small_choices(48, 256),
        "1.0x": _small_choices(32, 192),
        "0.5x": _small_choices(16, 128),
    }
    return scaled(PAPER, how, points)


def _small_choices(width: int, head: int) -> dict[str, Any]:
    choices = {
        "stem.width": 16,
        "stages.0.width": width,
        "stages.1.growth": 2.0,
        "stages.2.growth": 2.0,
        "head.width": head,
    }
    return choices | _units((2, 4, 2), [0] * 8, [5] * 8)
