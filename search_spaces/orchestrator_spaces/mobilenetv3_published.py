"""The published members of the MobileNetV3 family as answers to its questions.

Howard et al. 2019, arXiv:1905.02244, tables 1-3, with the released code's widths below 1.0 and
minimalistic forms (tensorflow/models, research/slim/nets/mobilenet); the largest, a middle and
the smallest network of once-for-all (Cai et al. 2020, arXiv:1908.09791; mit-han-lab/once-for-all),
whose accuracies belong to weights cut out of a trained supernet and are not listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator import Published
from orchestrator_spaces.blocks.convolution import round_to_8
from orchestrator_spaces.blocks.members import scaled

__all__ = ["HS", "RE", "published_full", "published_small"]

RE, HS = "relu", "hardswish"


@dataclass(frozen=True)
class Row:
    """A line of a published table: a stage's index, kernel, widths and operators."""

    stage: int
    kernel: int
    width: int
    expanded: tuple[int, ...]
    se: bool
    activation: str


LARGE_100 = (
    Row(0, 3, 16, (16,), False, RE),
    Row(1, 3, 24, (64, 72), False, RE),
    Row(2, 5, 40, (72, 120, 120), True, RE),
    Row(3, 3, 80, (240, 200, 184, 184), False, HS),
    Row(4, 3, 112, (480, 672), True, HS),
    Row(5, 5, 160, (672, 960, 960), True, HS),
)
LARGE_075 = (
    Row(0, 3, 16, (16,), False, RE),
    Row(1, 3, 24, (64, 72), False, RE),
    Row(2, 5, 32, (72, 96, 96), True, RE),
    Row(3, 3, 64, (192, 160, 144, 144), False, HS),
    Row(4, 3, 88, (384, 528), True, HS),
    Row(5, 5, 120, (528, 720, 720), True, HS),
)
SMALL_100 = (
    Row(0, 3, 16, (16,), True, RE),
    Row(1, 3, 24, (72, 88), False, RE),
    Row(2, 5, 40, (96, 240, 240), True, HS),
    Row(4, 5, 48, (120, 144), True, HS),
    Row(5, 5, 96, (288, 576, 576), True, HS),
)
SMALL_075 = (
    Row(0, 3, 16, (16,), True, RE),
    Row(1, 3, 24, (72, 88), False, RE),
    Row(2, 5, 32, (96, 192, 192), True, HS),
    Row(4, 5, 40, (96, 120), True, HS),
    Row(5, 5, 72, (240, 432, 432), True, HS),
)

PAPER = "Howard et al. 2019, arXiv:1905.02244"
SLIM = "tensorflow/models research/slim/nets/mobilenet"
OFA = "Cai et al. 2020, arXiv:1908.09791; mit-han-lab/once-for-all"


def published_full() -> dict[str, Published]:
    """Large, Small and minimalistic networks, then those of once-for-all."""
    large = _choices("large", LARGE_100, hidden=1280)
    large_075 = _choices("large", LARGE_075, hidden=1280)
    small = _choices("small", SMALL_100, hidden=1024)
    small_075 = _choices("small", SMALL_075, hidden=1024)
    wide = {"head.hidden": 1280}
    paper, slim = f"{PAPER}, tables 1-3", f"{PAPER}; {SLIM}"
    return {
        "large-1.0": Published(large, 224, paper, 5_483_032, 216_589_760, 75.2),
        "large-0.75": Published(large_075, 224, slim, 3_993_528, 154_560_624, 73.3),
        "small-1.0": Published(small, 224, slim, 2_542_856, 56_510_400, 67.4),
        "small-1.0-hidden1280": Published(
            {**small, **wide}, 224, paper, 2_946_568, 56_913_856, 67.4
        ),
        "small-0.75": Published(small_075, 224, slim, 2_041_872, 43_399_344, 65.4),
        "small-0.75-hidden1280": Published(
            {**small_075, **wide}, 224, slim, 2_408_720, 43_765_936, 65.4
        ),
        "large-minimalistic": Published(
            _minimalistic(large), 224, slim, 3_924_288, 209_136_704, 72.3
        ),
        "small-minimalistic": Published(
            _minimalistic(small), 224, slim, 2_044_736, 52_288_448, 61.9
        ),
        **_once_for_all(),
    }


def _once_for_all() -> dict[str, Published]:
    counts = {
        ("max", 1.0): (7_664_760, 566_170_656),
        ("mid", 1.0): (4_551_792, 250_746_944),
        ("min", 1.0): (3_410_792, 121_278_672),
        ("max", 1.2): (10_701_632, 843_101_040),
        ("mid", 1.2): (6_245_312, 385_659_168),
        ("min", 1.2): (4_602_456, 193_078_200),
    }
    return {
        f"ofa-{factor}-{size}": Published(_ofa(size, factor), 224, OFA, params, macs)
        for (size, factor), (params, macs) in counts.items()
    }


def _ofa(size: str, factor: float) -> dict[str, Any]:
    """One kernel, expansion ratio and depth everywhere; all widths times `factor`."""
    kernel, ratio, depth = {"max": (7, 6, 4), "mid": (5, 4, 3), "min": (3, 3, 2)}[size]
    first, *widths = (round_to_8(factor * width) for width in (16, 24, 40, 80, 112, 160))
    rows = [Row(0, 3, first, (first,), False, RE)]
    for stage, width in enumerate(widths, start=1):
        expanded = (ratio * rows[-1].width, *(ratio * width for _ in range(depth - 1)))
        late = stage > 2
        rows.append(Row(stage, kernel, width, expanded, stage in (2, 4, 5), HS if late else RE))
    choices = _choices("large", tuple(rows), hidden=round_to_8(factor * 1280))
    return choices | {"stem.width": first, "head.bias": False}


def _choices(layout: str, rows: tuple[Row, ...], *, hidden: int) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "resolution": 1.0,
        "layout": layout,
        "stem.width": 16,
        "stem.activation": HS,
        "head.width": 6 * rows[-1].width,
        "head.hidden": hidden,
        "head.bias": True,
        "head.activation": HS,
    }
    for row in rows:
        stage = f"stages.{row.stage}"
        for index, expanded in enumerate(row.expanded):
            choices[f"{stage}.blocks.{index}.kernel"] = row.kernel
            choices[f"{stage}.blocks.{index}.expanded"] = expanded
        choices |= {
            f"{stage}.width": row.width,
            f"{stage}.depth": len(row.expanded),
            f"{stage}.attention": "se" if row.se else "none",
            f"{stage}.activation": row.activation,
        }
    return choices


def _minimalistic(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Kernels of 3, no squeeze-and-excitation, ReLU everywhere."""
    plain = {"kernel": 3, "attention": "none", "activation": RE}
    return {name: plain.get(name.rpartition(".")[2], value) for name, value in choices.items()}


def published_small() -> dict[str, Published]:
    """What remains of Large and Small at 32×32."""
    large = _small_choices("large", (16, 24, 40, 80), (1, 2, 3, 3), hidden=256)
    small = _small_choices("small", (16, 24, 40, 48), (1, 2, 2, 2), hidden=128)
    how = (
        "four stages from 16×16 (large) or 8×8 (small) down to 4×4, one "
        "expansion ratio a stage, narrower head"
    )
    points = {
        "large": large,
        "large-minimalistic": _minimalistic(large),
        "small": small | {"stages.0.attention": "se"},
        "small-minimalistic": _minimalistic(small),
    }
    return scaled(PAPER, how, points)


def _small_choices(
    layout: str, widths: tuple[int, ...], depths: tuple[int, ...], *, hidden: int
) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "resolution": 1.0,
        "layout": layout,
        "stem.width": 16,
        "stem.activation": HS,
        "head.width": 240,
        "head.hidden": hidden,
        "head.activation": HS,
    }
    for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        stage, late = f"stages.{index}", index > 1
        choices |= {
            f"{stage}.width": width,
            f"{stage}.attention": "se" if late else "none",
            f"{stage}.activation": HS if late else RE,
        }
        for block in range(depth):
            choices[f"{stage}.blocks.{block}.kernel"] = 5 if index == 2 else 3
            choices[f"{stage}.blocks.{block}.ratio"] = 3 if index else 1
        if index:
            choices[f"{stage}.depth"] = depth
    return choices
