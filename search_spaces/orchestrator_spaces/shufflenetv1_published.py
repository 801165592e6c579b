"""What a ShuffleNet (version 1) may be, and its published networks.

Zhang et al. 2017, arXiv:1707.01083; megvii-model/ShuffleNet-Series, which has 3 and 8 groups and
no bias in the classifier. Other group counts, and their widths at 0.5x and 2.0x, as in
pytorchcv.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator import Published
from orchestrator_spaces.blocks.channel_attention import ATTENTIONS
from orchestrator_spaces.blocks.members import by_stage, scaled
from orchestrator_spaces.blocks.questions import Range

__all__ = ["TABLES", "GroupTable", "Table", "published_points"]


@dataclass(frozen=True)
class GroupTable:
    """What fits one number of groups: stem width, first stage's width, stages' bottlenecks.

    Stem widths and bottlenecks are multiples of the groups (bottlenecks that share weights: of
    their square), the first width of four times the groups, so that it can grow by halves twice.
    """

    stem: Range
    width: Range
    bottlenecks: tuple[Range, Range, Range]


@dataclass(frozen=True)
class Table:
    """What a preset may be. A later stage's width is the one before times a growth.

    `dealt`: a stage's input and the branch beside it are joined within each group. An attention's
    hidden width is that of its channels by `squeeze`.
    """

    strides: tuple[int, ...]
    stem_pool: bool
    groups: Mapping[int, GroupTable]
    growths: tuple[float, ...]
    depths: tuple[Range, ...]
    kernels: tuple[int, ...]
    attentions: tuple[str, ...]
    squeeze: int
    dealt: bool
    variants: bool

    def deals(self, groups: int) -> bool:
        """Whether channels are dealt out to the groups; with one group that changes nothing."""
        return self.dealt or groups == 1


def _doubling(low: int, high: int, step: int) -> tuple[Range, Range, Range]:
    first, second, third = (Range(n * low, n * high, n * step) for n in (1, 2, 4))
    return first, second, third


FULL = Table(
    strides=(2, 2, 2),
    stem_pool=True,
    groups={
        1: GroupTable(Range(12, 48, 12), Range(72, 288, 36), _doubling(18, 72, 18)),
        2: GroupTable(Range(12, 48, 12), Range(80, 400, 40), _doubling(20, 120, 10)),
        3: GroupTable(Range(12, 48, 12), Range(120, 480, 60), _doubling(30, 120, 30)),
        4: GroupTable(Range(12, 48, 12), Range(128, 544, 16), _doubling(36, 136, 4)),
        8: GroupTable(Range(16, 48, 8), Range(192, 768, 64), _doubling(48, 192, 48)),
    },
    growths=(1.5, 2.0, 2.5),
    depths=(Range(2, 6), Range(4, 10), Range(2, 6)),
    kernels=(3, 5, 7),
    attentions=ATTENTIONS,
    squeeze=16,
    dealt=False,
    variants=True,
)

# 32×32 in: 16×16 after the stem, which is not pooled, then 8×8, 8×8 and 4×4.
SMALL = Table(
    strides=(2, 1, 2),
    stem_pool=False,
    groups={
        1: GroupTable(
            Range(12, 24, 12),
            Range(32, 64, 16),
            (Range(16, 32, 8), Range(16, 48, 16), Range(32, 96, 16)),
        ),
        2: GroupTable(
            Range(12, 24, 12),
            Range(48, 96, 16),
            (Range(16, 40, 8), Range(32, 64, 16), Range(48, 112, 16)),
        ),
        3: GroupTable(
            Range(12, 24, 12),
            Range(48, 96, 12),
            (Range(18, 36, 9), Range(36, 63, 9), Range(54, 108, 18)),
        ),
        4: GroupTable(
            Range(12, 24, 12),
            Range(64, 112, 16),
            (Range(16, 48, 16), Range(32, 80, 16), Range(64, 128, 32)),
        ),
        8: GroupTable(
            Range(16, 24, 8),
            Range(64, 128, 32),
            (Range(64, 128, 64), Range(64, 128, 64), Range(64, 192, 64)),
        ),
    },
    growths=(1.5, 2.0),
    depths=(Range(1, 3), Range(1, 4), Range(1, 3)),
    kernels=(3, 5),
    attentions=ATTENTIONS,
    squeeze=4,
    dealt=True,
    variants=False,
)

TABLES = {"full": FULL, "small": SMALL}

PAPER = "Zhang et al. 2017, arXiv:1707.01083"
OFFICIAL = f"{PAPER}; megvii-model/ShuffleNet-Series"
OTHERS = f"{PAPER}; pytorchcv's form"


@dataclass(frozen=True)
class Row:
    """A line of the published tables; `width` is the first stage's, and doubles twice."""

    groups: int
    stem: int
    width: int
    params: int
    macs: int
    top1_percent: float | None


# The accuracies of 1.5x and 2.0x with 8 groups are the repository's; the paper has none.
ROWS = {
    "2.0x-g8": Row(8, 48, 768, 6_521_232, 521_942_016, 72.9),
    "2.0x-g4": Row(4, 48, 544, 5_593_528, 510_289_536, None),
    "2.0x-g3": Row(3, 48, 480, 5_449_776, 524_045_184, 73.7),
    "2.0x-g2": Row(2, 48, 400, 5_257_896, 539_138_624, None),
    "2.0x-g1": Row(1, 48, 288, 4_918_744, 550_334_592, None),
    "1.5x-g8": Row(8, 24, 576, 4_268_952, 290_188_800, 71.0),
    "1.5x-g3": Row(3, 24, 360, 3_441_168, 292_443_552, 71.5),
    "1.0x-g8": Row(8, 24, 384, 2_433_768, 138_365_952, 67.6),
    "1.0x-g4": Row(4, 24, 272, 1_968_344, 134_339_776, 67.2),
    "1.0x-g3": Row(3, 24, 240, 1_864_728, 137_460_672, 67.4),
    "1.0x-g2": Row(2, 24, 200, 1_733_848, 140_836_512, 67.3),
    "1.0x-g1": Row(1, 24, 144, 1_531_936, 143_078_976, 66.4),
    "0.5x-g8": Row(8, 16, 192, 1_010_448, 40_469_760, 57.7),
    "0.5x-g3": Row(3, 12, 120, 717_324, 37_589_856, 56.8),
    "0.5x-g1": Row(1, 12, 72, 534_484, 38_517_408, 54.9),
}


def published_points(preset: str) -> dict[str, Published]:
    """The named points of a preset."""
    return _small() if preset == "small" else {name: _full(row) for name, row in ROWS.items()}


def _full(row: Row) -> Published:
    official = row.groups in (3, 8)
    middles = tuple(scale * row.width // 4 for scale in (1, 2, 4))
    choices = _choices(row.groups, (row.stem, row.width), middles, (4, 8, 4))
    choices["classifier_bias"] = not official
    source = OFFICIAL if official else OTHERS
    return Published(choices, 224, source, row.params, row.macs, row.top1_percent)


def _small() -> dict[str, Published]:
    how = "half of the depth, narrower, stages at 8×8, 8×8 and 4×4, concatenation within each group"
    points = {
        "1.5x-g3": _choices(3, (24, 96), (36, 63, 108), (2, 4, 2)),
        "1.0x-g8": _choices(8, (24, 96), (64, 64, 128), (2, 4, 2)),
        "1.0x-g3": _choices(3, (24, 72), (18, 36, 72), (2, 4, 2)),
        "0.5x-g1": _choices(1, (12, 32), (16, 16, 32), (2, 4, 2)),
    }
    return scaled(PAPER, how, points)


def _choices(
    groups: int, widths: tuple[int, int], middles: tuple[int, ...], depths: tuple[int, ...]
) -> dict[str, Any]:
    """`widths` of stem and first stage."""
    choices: dict[str, Any] = {
        "resolution": 1.0,
        "groups": groups,
        f"stem.width.groups{groups}": widths[0],
        f"stages.0.width.groups{groups}": widths[1],
        "stages.1.growth": 2.0,
        "stages.2.growth": 2.0,
    }
    choices |= by_stage(depth=depths, kernel=(3, 3, 3), attention=("none",) * 3)
    return choices | by_stage(**{f"bottleneck.groups{groups}": middles})
