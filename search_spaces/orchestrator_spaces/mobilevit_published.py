"""MobileViT's published members, and what remains of them at 32×32, as answers to `suggest`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator import Published
from orchestrator_spaces.blocks.members import scaled

__all__ = ["published_full", "published_small"]

PAPER = "Mehta & Rastegari 2021, arXiv:2110.02178"


@dataclass(frozen=True)
class Member:
    """A column of the paper's table: stem, widths of stages and of blocks, and what is shared."""

    stem: int
    widths: tuple[int, ...]
    inner: tuple[int, ...]
    expansion: int
    depths: tuple[int, ...] = (1, 3, 1, 1, 1)
    layers: tuple[int, ...] = (2, 4, 3)
    patches: tuple[int, ...] = (2, 2, 2)


def published_full() -> dict[str, Published]:
    """S, XS and XXS."""
    source = f"{PAPER}; apple/ml-cvnets"
    s = _choices(Member(16, (32, 64, 96, 128, 160), (144, 192, 240), 4))
    xs = _choices(Member(16, (32, 48, 64, 80, 96), (96, 120, 144), 4))
    xxs = _choices(Member(16, (16, 24, 48, 64, 80), (64, 80, 96), 2))
    return {
        "s": Published(s, 256, source, 5_578_632, 2_000_831_488, 78.4),
        "xs": Published(xs, 256, source, 2_317_848, 1_025_911_808, 74.8),
        "xxs": Published(xxs, 256, source, 1_272_024, 407_364_096, 69.0),
    }


def _choices(member: Member) -> dict[str, Any]:
    choices: dict[str, Any] = {"resolution": 1.0, "stem.width": member.stem, "head.ratio": 4}
    plain = len(member.widths) - len(member.inner)
    for index, (width, depth) in enumerate(zip(member.widths, member.depths, strict=True)):
        stage = f"stages.{index}"
        choices |= {
            f"{stage}.width": width,
            f"{stage}.depth": depth,
            f"{stage}.expansion": member.expansion,
            f"{stage}.kernel": 3,
        }
        if index >= plain:
            block = f"{stage}.transformer"
            choices |= {
                f"{block}.width": member.inner[index - plain],
                f"{block}.depth": member.layers[index - plain],
                f"{block}.heads": 4,
                f"{block}.mlp_ratio": 2,
                f"{block}.patch": member.patches[index - plain],
                f"{block}.fusion_kernel": 3,
            }
    return choices


def published_small() -> dict[str, Published]:
    """The same three with two MobileViT blocks instead of three."""
    how = "stages at 16×16, 16×16, 8×8 and 4×4, two MobileViT blocks, about a third of the width"
    shape: dict[str, Any] = {"layers": (2, 3), "patches": (2, 1)}
    members = {
        "s": Member(16, (16, 24, 32, 48), (48, 64), 4, (1, 2, 1, 1), **shape),
        "xs": Member(16, (16, 16, 24, 32), (32, 48), 4, (1, 1, 1, 1), **shape),
        "xxs": Member(8, (8, 16, 24, 32), (32, 48), 2, (1, 1, 1, 1), **shape),
    }
    points = {name: _choices(member) for name, member in members.items()}
    for choices in points.values():
        del choices["stages.0.depth"]
    return scaled(PAPER, how, points)
