"""ShuffleNetV2 and a space around it.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", 2018,
arXiv:1807.11164; official code megvii-model/ShuffleNet-Series. Each unit may be one of the four
of Guo et al., "Single Path One-Shot", 2019, arXiv:1904.00420 (kernel 3, 5 or 7, or three
depthwise convolutions, "xception"), with a middle width of its own; the full preset holds that
paper's four stages beside the three of ShuffleNetV2.

Networks without a bias in the classifier have the order of channels of the authors' code, those
with one torchvision's (see `blocks/channel_order.py`). Architectures drawn before there was an
"order" rebuild what they were: split by pairs (0, 1 | 2, 3 | …) and interleaved, so that a quarter
of each stage's channels passes through every unit as it is.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from orchestrator import Checkpoint, Part, Published, Trial, outlined
from orchestrator_spaces.blocks.channel_order import ChannelOrder, Join, PassingUnit
from orchestrator_spaces.blocks.convolution import ConvNorm
from orchestrator_spaces.blocks.questions import choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.shuffle import Merge, Split
from orchestrator_spaces.family import Family
from orchestrator_spaces.shufflenetv2_pretrained import PRETRAINED, translate_shufflenetv2
from orchestrator_spaces.shufflenetv2_published import TABLES, Layout, Table, published_points
from orchestrator_spaces.shufflenetv2_sharing import shared_part

__all__ = ["ShuffleNetV2", "ShuffleNetV2Space"]


@outlined
class PairedUnit(nn.Module):
    """The unit of architectures without an order: every second pair of channels passes."""

    def __init__(self, width: int, middle: int, kind: str) -> None:
        super().__init__()
        self.split = Split()
        half = width // 2
        self.branch = _branch(BranchShape(half, middle, half, kind, stride=1))
        self.merge = Merge()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        passed, changed = self.split(x)
        x = self.merge(passed, self.branch(changed))
        return x


@outlined
class EntryUnit(nn.Module):
    """The first unit of a stage: both paths see the whole input, and the width changes."""

    def __init__(self, shape: BranchShape, shortcut: int, merge: nn.Module) -> None:
        super().__init__()
        kernel, width = _kernel(shape.kind), shape.width_in
        self.shortcut = nn.Sequential(
            ConvNorm(width, width, kernel, stride=shape.stride, groups=width),
            ConvNorm(width, shortcut, 1, activation=nn.ReLU(inplace=True)),
        )
        self.branch = _branch(shape)
        self.merge = merge

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H/stride, W/stride)."""
        x = self.merge(self.shortcut(x), self.branch(x))
        return x


@outlined
class Stage(nn.Module):
    """An entry unit and then units that keep the width; `order` is an architecture's."""

    def __init__(
        self, width_in: int, architecture: Mapping[str, Any], stride: int, order: str | None
    ) -> None:
        super().__init__()
        width, shortcut = architecture["width"], architecture["shortcut"]
        (middle, kind), *others = zip(architecture["middles"], architecture["kinds"], strict=True)
        shape = BranchShape(width_in, middle, width - shortcut, kind, stride=stride)
        self.entry = EntryUnit(
            shape, shortcut, Join(ChannelOrder(order, width)) if order else Merge()
        )
        self.units = nn.Sequential()
        for number, (middle, kind) in enumerate(others):
            if order is None:
                self.units.append(PairedUnit(width, middle, kind))
                continue
            branch = _branch(BranchShape(width // 2, middle, width // 2, kind, stride=1))
            last = number + 1 == len(others)
            self.units.append(PassingUnit(ChannelOrder(order, width), branch, number, last=last))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H/stride, W/stride)."""
        x = self.units(self.entry(x))
        return x


class ShuffleNetV2(nn.Module):
    """Stem, three or four stages, 1×1 convolution, mean, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], layout: Layout, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        width, head = architecture["stem"], architecture["head"]
        self.resize = image.resize()
        self.stem = ConvNorm(
            image.in_channels, width, 3, stride=2, activation=nn.ReLU(inplace=True)
        )
        self.stem_pool = nn.MaxPool2d(3, 2, 1) if layout.stem_pool else nn.Identity()
        self.stages = nn.Sequential()
        order, first = architecture.get("order"), True
        for stage, stride in zip(architecture["stages"], layout.strides, strict=True):
            if stage is None:
                self.stages.append(nn.Sequential())
                continue
            name = _ordered_name(stage, order, first=first) if order else _paired_name(stage)
            made: nn.Module = Stage(width, stage, stride, order)
            self.stages.append(nn.Sequential(OrderedDict([(name, made)])))
            width, first = stage["width"], False
        last = ConvNorm(width, head, 1, activation=nn.ReLU(inplace=True))
        self.last = nn.Sequential(OrderedDict([(order, last)])) if order else last
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head, classes, bias=architecture["classifier_bias"])

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.stem(self.resize(x))  # (B, stem, H/2, W/2)
        x = self.stem_pool(x)  # (B, stem, H/4, W/4) where it pools
        x = self.stages(x)  # (B, C, H/32, W/32); H/8 in the small preset
        x = self.pool(self.last(x)).flatten(1)  # (B, head)
        x = self.classifier(x)
        return x


@dataclass(frozen=True)
class BranchShape:
    """Channels in, in the middle and out; `kind` is one of `KINDS`."""

    width_in: int
    middle: int
    width: int
    kind: str
    stride: int


def _ordered_name(stage: Mapping[str, Any], order: str, *, first: bool) -> str:
    """Equal where channels of a narrower stage have roles in a wider one (see `shared_part`)."""
    width, shortcut = stage["width"], stage["shortcut"]
    widths = "" if 2 * shortcut == width else f"{shortcut}of{width}"
    return f"{order}{'_stem' if first else ''}{widths}"


def _paired_name(stage: Mapping[str, Any]) -> str:
    """Says how a stage's input and its first branch are merged, as that is where each channel of
    the stage lies.
    """
    shortcut, branch = stage["shortcut"], stage["width"] - stage["shortcut"]
    if shortcut == branch:
        return "halves"
    # Where the branch is wider its rest comes last, so that its width may vary.
    return f"kept{shortcut}" if shortcut < branch else f"kept{shortcut}of{stage['width']}"


@outlined
def _branch(shape: BranchShape) -> nn.Sequential:
    """Named by its operator, so that the two operators never share a weight."""
    operator = _xception(shape) if shape.kind == "xception" else _shuffle(shape)
    name = "xception" if shape.kind == "xception" else "shuffle"
    return nn.Sequential(OrderedDict([(name, operator)]))


def _shuffle(shape: BranchShape) -> nn.Sequential:
    """1×1, depthwise k×k, 1×1."""
    middle = shape.middle
    return nn.Sequential(
        ConvNorm(shape.width_in, middle, 1, activation=nn.ReLU(inplace=True)),
        ConvNorm(middle, middle, _kernel(shape.kind), stride=shape.stride, groups=middle),
        ConvNorm(middle, shape.width, 1, activation=nn.ReLU(inplace=True)),
    )


def _xception(shape: BranchShape) -> nn.Sequential:
    """Three times depthwise 3×3 and 1×1; the first may stride."""
    layers = nn.Sequential()
    width_in = shape.width_in
    for index, width in enumerate((shape.middle, shape.middle, shape.width)):
        stride = shape.stride if index == 0 else 1
        layers.append(ConvNorm(width_in, width_in, 3, stride=stride, groups=width_in))
        layers.append(ConvNorm(width_in, width, 1, activation=nn.ReLU(inplace=True)))
        width_in = width
    return layers


def _kernel(kind: str) -> int:
    return 3 if kind == "xception" else int(kind.removeprefix("kernel"))


class ShuffleNetV2Space(Family[Table]):
    """Kind and middle width of each unit; depth and width of each stage; width of stem and head.

    In the full preset also the layout, and what sets the official networks and torchvision's
    apart: whether the shortcut of a stage's first unit keeps its input's width or gives half of
    the output, and whether the classifier has a bias; with it goes the order of channels.
    """

    name = "shufflenetv2"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Widths are absolute channel counts; a stage's `shortcut` is part of its width."""
        table = self.table
        layout = choose(trial, "layout", table.layouts)
        stem = table.stem_width.ask(trial, "stem.width")
        widths = self._suggest_widths(trial, table.layouts[layout])
        shortcuts = self._suggest_shortcuts(trial, [stem, *widths])
        skipped = len(table.layouts[layout].strides) - len(widths)
        stages: list[dict[str, Any] | None] = [None] * skipped
        for index, (width, shortcut) in enumerate(zip(widths, shortcuts, strict=True), skipped):
            units = self._suggest_units(trial, index, width)
            stages.append({"width": width, "shortcut": shortcut, **units})
        bias = not table.variants or trial.suggest_categorical("classifier_bias", [False, True])
        return {
            "resolution": self.ask_resolution(trial),
            "layout": layout,
            "stem": stem,
            "stages": stages,
            "head": choose(trial, "head.width", table.head_widths),
            "classifier_bias": bias,
            "order": "chunks" if bias else "turns",
        }

    def _suggest_widths(self, trial: Trial, layout: Layout) -> list[int]:
        first, *later = (index for index, stride in enumerate(layout.strides) if stride)
        widths = [layout.first_width.ask(trial, f"stages.{first}.width")]
        for index in later:
            name = f"stages.{index}.growth"
            growth = choose(trial, name, self.table.growths)
            widths.append(4 * round(growth * widths[-1] / 4))
        return widths

    def _suggest_shortcuts(self, trial: Trial, widths: list[int]) -> list[int]:
        halves = [width // 2 for width in widths[1:]]
        keeps = widths[:-1]
        if not self.table.variants or keeps == halves:
            return halves
        kind = trial.suggest_categorical("shortcut", ["keep_input", "half_output"])
        return keeps if kind == "keep_input" else halves

    def _suggest_units(self, trial: Trial, index: int, width: int) -> dict[str, Any]:
        table, name = self.table, f"stages.{index}"
        depth = table.depths[index].ask(trial, f"{name}.depth")
        units = [f"{name}.units.{unit}" for unit in range(depth)]
        ratios = [choose(trial, f"{unit}.middle_ratio", table.middle_ratios) for unit in units]
        return {
            "middles": [int(width / 2 * ratio) for ratio in ratios],
            "kinds": [choose(trial, f"{unit}.kind", table.kinds) for unit in units],
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        layout = self.table.layouts[architecture["layout"]]
        return ShuffleNetV2(architecture, layout, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        layout = self.table.layouts[architecture["layout"]]
        strides = (stride or 1 for stride in layout.strides)
        return math.prod(strides) * (4 if layout.stem_pool else 2)

    def published(self) -> Mapping[str, Published]:
        """The papers' networks and torchvision's, or what remains of them at 32×32."""
        return published_points(self.preset)

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """torchvision's."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the names that `pretrained` tells."""
        return translate_shufflenetv2(state, naming)

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[Part, ...] | None:
        """Channels that the same units change."""
        return shared_part(name, full, wanted)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The convolutions whose outputs are interleaved and split; middle widths are free."""
        ends = [unit.branch for unit in network.modules() if isinstance(unit, UNITS)]
        ends += [unit.shortcut for unit in network.modules() if isinstance(unit, EntryUnit)]
        return [_last_convolution(end) for end in ends]


UNITS = (PairedUnit, PassingUnit, EntryUnit)


def _last_convolution(branch: nn.Module) -> nn.Module:
    return [module for module in branch.modules() if isinstance(module, nn.Conv2d)][-1]
