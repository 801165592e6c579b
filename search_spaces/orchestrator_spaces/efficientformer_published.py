"""The published members of EfficientFormer, and what remains of them at 32×32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator import Published
from orchestrator_spaces.blocks.members import scaled

__all__ = ["published_full", "published_small"]


@dataclass(frozen=True)
class Member:
    """Widths, how many blocks on maps each stage has, and blocks on tokens in the last one."""

    widths: tuple[int, ...]
    maps: tuple[int, ...]
    tokens: int


PAPER = "Li et al. 2022, arXiv:2206.01191"

L1 = Member((48, 96, 224, 448), (3, 2, 6, 3), 1)
L3 = Member((64, 128, 320, 512), (4, 4, 12, 2), 4)
L7 = Member((96, 192, 384, 768), (6, 6, 18, 0), 8)


def published_full(slots: Sequence[int]) -> dict[str, Published]:
    """With the distillation head, as released, and without; `slots` of each stage."""
    l1, l3, l7 = (_choices(member, slots, heads=8) for member in (L1, L3, L7))
    both, one = {"distillation_head": True}, {"distillation_head": False}
    code = f"{PAPER}; snap-research/EfficientFormer"
    plain = f"{code}, without the distillation head (no published accuracy)"
    return {
        "l7": Published(l7 | both, 224, code, 82_229_328, 10_119_325_696, 83.3),
        "l3": Published(l3 | both, 224, code, 31_406_000, 3_906_573_312, 82.4),
        "l1": Published(l1 | both, 224, code, 12_289_928, 1_291_284_736, 79.2),
        "l7-plain": Published(l7 | one, 224, plain, 81_460_328, 10_118_557_696),
        "l3-plain": Published(l3 | one, 224, plain, 30_893_000, 3_906_061_312),
        "l1-plain": Published(l1 | one, 224, plain, 11_840_928, 1_290_836_736),
    }


def published_small(slots: Sequence[int]) -> dict[str, Published]:
    """Largest first; `slots` of each stage."""
    members = {
        "l7": Member((24, 40, 64, 96), (1, 2, 3, 0), 2),
        "l3": Member((16, 32, 48, 80), (1, 2, 2, 1), 2),
        "l1": Member((16, 24, 48, 64), (1, 1, 2, 1), 1),
    }
    how = (
        "about a sixth of the width and a third of the depth; stages "
        "at 16×16, 8×8, 4×4, 4×4; no distillation head"
    )
    points = {
        name: _choices(member, slots, heads=4) | {"distillation_head": False}
        for name, member in members.items()
    }
    return scaled(PAPER, how, points)


def _choices(member: Member, slots: Sequence[int], *, heads: int) -> dict[str, Any]:
    """A stage's first slots are used, the others empty."""
    choices: dict[str, Any] = {"resolution": 1.0, "heads": heads, "activation": "gelu"}
    last = len(slots) - 1
    for index, maps in enumerate(member.maps):
        stage = f"stages.{index}"
        tokens = member.tokens if index == last else 0
        choices |= {f"{stage}.width": member.widths[index], f"{stage}.mlp_ratio": 4}
        for slot in range(slots[index]):
            choices[f"{stage}.blocks.{slot}.used"] = slot < maps + tokens
        if index >= last - 1:
            # Nobody asks for a kind after the first block on tokens.
            kinds = ["4d"] * maps + ["3d"] * min(1, tokens)
            choices |= {f"{stage}.blocks.{slot}.kind": kind for slot, kind in enumerate(kinds)}
    return choices
