"""Mobile-Former's published members, and what remains of three at 32×32, as answers to `suggest`.

Each member is a row a stage: an entry block "e1, e2" (e2 = 0 without tokens), the stage's width,
the expansion of its other blocks and their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator import Published
from orchestrator_spaces.blocks.members import scaled

__all__ = ["published_full", "published_small"]


@dataclass(frozen=True)
class Row:
    """A stage; an `entry` of 0 means that there is no entry block."""

    entry: int
    inner: int
    width: int
    expansion: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Member:
    """Stem, number and width of tokens, hidden width, groups, and stages; None is left out."""

    stem: int
    tokens: tuple[int, int]
    hidden: int
    stages: Sequence[Row | None]
    groups: int = 1


ROWS_52 = (
    None,
    Row(3, 0, 12, 3, 1),
    Row(6, 4, 24, 3, 1),
    Row(6, 4, 48, 4, 1),
    Row(0, 0, 64, 6, 1),
    Row(6, 4, 96, 6, 1),
)
ROWS_96 = (
    Row(2, 0, 12),
    Row(6, 4, 16),
    Row(6, 4, 32, 3, 1),
    Row(6, 4, 64, 4, 1),
    Row(0, 0, 88, 6, 1),
    Row(6, 4, 128, 6, 1),
)


def _rows(widths: Sequence[int], early: tuple[int, int]) -> tuple[Row, ...]:
    """The stages of 151M and above; `early` are the expansions of the blocks of two stages."""
    first, second, third, fourth, fifth, sixth = widths
    return (
        Row(2, 0, first),
        Row(6, 4, second, early[0], 1),
        Row(6, 4, third, early[1], 1),
        Row(6, 4, fourth, 4, 1),
        Row(0, 0, fifth, 6, 2),
        Row(6, 4, sixth, 6, 2),
    )


MEMBERS = {
    "508m": Member(24, (6, 192), 1920, _rows((24, 40, 72, 128, 176, 240), (3, 3))),
    "294m": Member(16, (6, 192), 1920, _rows((16, 24, 48, 96, 128, 192), (4, 4))),
    "214m": Member(12, (6, 192), 1600, _rows((12, 20, 40, 80, 112, 160), (3, 4))),
    "151m": Member(12, (6, 192), 1280, _rows((12, 16, 32, 64, 88, 128), (3, 3))),
    "96m": Member(12, (4, 128), 1280, ROWS_96),
    "52m": Member(8, (3, 128), 1024, ROWS_52),
    "26m": Member(8, (3, 128), 1024, ROWS_52, groups=4),
}

# Parameters, multiply-adds and published accuracy.
FACTS = {
    "508m": (13_976_976, 498_467_680, 79.3),
    "294m": (11_422_648, 286_732_160, 77.9),
    "214m": (9_425_920, 208_374_240, 76.7),
    "151m": (7_595_828, 146_249_168, 75.2),
    "96m": (4_585_252, 92_017_040, 72.8),
    "52m": (3_469_092, 49_290_496, 68.7),
    "26m": (3_232_788, 23_550_208, 64.0),
}

PAPER = "Chen et al. 2021, arXiv:2108.05895"


def published_full() -> dict[str, Published]:
    """The paper's seven."""
    source = f"{PAPER}; AAboys/MobileFormer"
    return {
        name: Published(_choices(member, full=True), 224, source, *FACTS[name])
        for name, member in MEMBERS.items()
    }


def _choices(member: Member, *, full: bool) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "resolution": 1.0,
        "groups": member.groups,
        **({"shuffle": "published" if full else "every"} if member.groups > 1 else {}),
        "tokens.count": member.tokens[0],
        "tokens.width": member.tokens[1],
        "stem.width": member.stem,
        "head.ratio": 6,
        "head.hidden": member.hidden,
    }
    for index, row in enumerate(member.stages):
        if full and index == 0:
            choices["stages.0.present"] = row is not None
        if row:
            choices |= _stage(f"stages.{index}", row, asked=index > 0, deep=index > 0 or not full)
    return choices


def _stage(name: str, row: Row, *, asked: bool, deep: bool) -> dict[str, Any]:
    """The first stage's entry never has an inner expansion; in "full" it has no other blocks."""
    choices: dict[str, Any] = {f"{name}.width": row.width}
    if deep:
        choices[f"{name}.depth"] = row.depth
    if row.entry:
        choices[f"{name}.entry"] = row.entry
        if asked:
            choices[f"{name}.inner"] = row.inner
    if row.depth:
        choices[f"{name}.expansion"] = row.expansion
    if row.depth or row.inner:
        choices |= {f"{name}.dynamic_relu": True, f"{name}.bridge": "both"}
    return choices


def published_small() -> dict[str, Published]:
    """Narrower, three entries instead of five, stages at 16×16, 8×8, 4×4 and 4×4."""
    how = "about half of the width, stages at 16×16, 8×8, 4×4 and 4×4, tokens a third as wide"
    rows = (Row(2, 0, 12), Row(6, 4, 24, 3, 1), Row(6, 4, 48, 4, 1), Row(0, 0, 64, 6, 1))
    narrow = (Row(3, 0, 8, 3, 1), Row(6, 4, 16, 3, 1), Row(6, 4, 32, 4, 1), Row(0, 0, 48, 6, 1))
    members = {
        "151m": Member(12, (6, 64), 256, rows),
        "96m": Member(12, (4, 48), 128, (rows[0], Row(6, 4, 16), *rows[2:])),
        "26m": Member(8, (3, 48), 128, narrow, groups=4),
        "52m": Member(8, (3, 48), 128, narrow),
    }
    points = {name: _choices(member, full=False) for name, member in members.items()}
    return scaled(PAPER, how, points)
