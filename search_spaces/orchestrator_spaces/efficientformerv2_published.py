"""The published members of EfficientFormerV2, and what remains of them at 32×32.

Widths, depths and expansions of the authors' code; accuracies are those of 300 epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator import Published
from orchestrator_spaces.blocks.members import scaled

__all__ = ["published_full", "published_small"]


@dataclass(frozen=True)
class Member:
    """Widths and expansions of each stage; the last `attention` blocks of the last two attend."""

    widths: tuple[int, ...]
    expansions: tuple[tuple[int, ...], ...]
    attention: int
    heads: int = 8


PAPER = "Li et al. 2022, arXiv:2212.08059"

L = Member(
    (40, 80, 192, 384),
    (
        (4,) * 5,
        (4,) * 5,
        (4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4),
        (4, 4, 4, 3, 3, 3, 3, 4, 4, 4),
    ),
    6,
)
S2 = Member(
    (32, 64, 144, 288),
    ((4,) * 4, (4,) * 4, (4, 4, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4), (4, 4, 3, 3, 3, 3, 4, 4)),
    4,
)
S1 = Member(
    (32, 48, 120, 224), ((4,) * 3, (4,) * 3, (4, 4, 3, 3, 3, 3, 4, 4, 4), (4, 4, 3, 3, 4, 4)), 2
)
S0 = Member((32, 48, 96, 176), ((4,) * 2, (4,) * 2, (4, 3, 3, 3, 4, 4), (4, 3, 3, 4)), 2)


def published_full() -> dict[str, Published]:
    """With the distillation head, as released."""
    code = f"{PAPER}; snap-research/EfficientFormer"
    large, s2, s1, s0 = (_choices(member, distilled=True) for member in (L, S2, S1, S0))
    return {
        "l": Published(large, 224, code, 26_322_288, 2_552_546_880, 83.3),
        "s2": Published(s2, 224, code, 12_710_112, 1_246_863_952, 81.6),
        "s1": Published(s1, 224, code, 6_185_560, 651_969_640, 79.0),
        "s0": Published(s0, 224, code, 3_600_256, 395_892_544, 75.7),
    }


def published_small() -> dict[str, Published]:
    """Largest first."""
    members = {
        "l": Member((16, 32, 40, 80), ((4,), (4, 4), (4, 3, 4), (4, 3, 4)), 2, 4),
        "s2": Member((16, 24, 32, 64), ((4,), (4,), (4, 4), (4, 4)), 1, 4),
        "s1": Member((16, 24, 24, 48), ((4,), (4,), (3, 4), (4,)), 1, 4),
        "s0": Member((8, 16, 24, 48), ((4,), (4,), (3, 3), (4,)), 1, 2),
    }
    how = (
        "about a quarter to a fifth of the width and a quarter of the depth; "
        "stages at 16×16, 8×8, 8×8 (attention on 4×4) and 4×4; no distillation head"
    )
    points = {name: _choices(member, distilled=False) for name, member in members.items()}
    return scaled(PAPER, how, points)


def _choices(member: Member, *, distilled: bool) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "resolution": 1.0,
        "heads": member.heads,
        "distillation_head": distilled,
    }
    for index, (width, expansions) in enumerate(zip(member.widths, member.expansions, strict=True)):
        stage = f"stages.{index}"
        choices[f"{stage}.width"] = width
        attending = member.attention if index >= len(member.widths) - 2 else 0
        local = len(expansions) - attending
        choices |= _blocks(f"{stage}.local", expansions[:local])
        if index >= len(member.widths) - 2:
            choices |= _blocks(f"{stage}.attention", expansions[local:])
    return choices


def _blocks(name: str, expansions: Sequence[int]) -> dict[str, int]:
    each = {f"{name}.{block}.expansion": value for block, value in enumerate(expansions)}
    return {f"{name}.depth": len(expansions), **each}
