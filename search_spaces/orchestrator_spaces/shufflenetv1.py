"""ShuffleNet (version 1) and a space around it.

Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile
Devices", 2017, arXiv:1707.01083, tables 1, 2 and 5; official code
megvii-model/ShuffleNet-Series. Attention may stand on a unit's branch before the addition, as
squeeze-and-excitation does in SE-ShuffleNet (Hu et al. 2018, arXiv:1709.01507).

The official networks cut the concatenation in a stage's first unit into groups wherever a
group's end falls, so that a channel's group depends on all widths. The full preset does so too,
and its layers carry the widths in their names: only equal widths share weights. In the small
preset that concatenation is made within each group and bottlenecks are multiples of the squared
number of groups, so that each group of a narrower network holds the leading channels of the same
group of a wider one. With one group the two are the same network up to the order of channels.

The authors' code shuffles from neighbours to groups, and so back to where the usual shuffle comes
from: with 8 groups and bottlenecks that are no multiple of their square that is another network.
Networks without a bias in the classifier, as theirs, shuffle as theirs ("shuffle" is "authors").
Architectures drawn before there was that key, and all others, have the usual one.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from orchestrator import Part, Published, Trial, outlined, segments
from orchestrator_spaces.blocks.channel_attention import Gate, attention
from orchestrator_spaces.blocks.convolution import ConvNorm, round_to_8
from orchestrator_spaces.blocks.questions import choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.shuffle import ChannelShuffle, GroupedConcat
from orchestrator_spaces.family import Family
from orchestrator_spaces.shufflenetv1_published import TABLES, Table, published_points

__all__ = ["ShuffleNetV1", "ShuffleNetV1Space"]


@dataclass(frozen=True)
class BranchShape:
    """Channels in, in the bottleneck and out; `squeezed` is the attention's hidden width."""

    width_in: int
    bottleneck: int
    width: int
    kernel: int
    stride: int
    groups: int
    first_groups: int
    attention: str
    squeezed: int
    shuffle: str | None = None


@outlined
class Branch(nn.Sequential):
    """Grouped 1×1, shuffle, depthwise k×k, grouped 1×1, attention.

    The attention's layer carries its kind as its name, so that two kinds never share a weight.
    """

    def __init__(self, shape: BranchShape) -> None:
        middle, groups = shape.bottleneck, shape.groups
        reduce = ConvNorm(
            shape.width_in, middle, 1, groups=shape.first_groups, activation=nn.ReLU(inplace=True)
        )
        layers: OrderedDict[str, nn.Module] = OrderedDict(reduce=reduce)
        if groups > 1:
            # Cut into as many parts as a group has channels, the authors' is the inverse.
            parts = middle // groups if shape.shuffle == "authors" else groups
            layers["shuffle"] = ChannelShuffle(parts)
        layers["depthwise"] = ConvNorm(
            middle, middle, shape.kernel, stride=shape.stride, groups=middle
        )
        layers["expand"] = ConvNorm(middle, shape.width, 1, groups=groups)
        if shape.attention != "none":
            gate = Gate(shape.squeezed, sigmoid="sigmoid")
            layers[shape.attention] = attention(shape.attention, shape.width, gate)
        super().__init__(layers)


@outlined
class Unit(nn.Module):
    """A branch, its input added, ReLU."""

    def __init__(self, shape: BranchShape) -> None:
        super().__init__()
        self.branch = Branch(shape)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        x = self.activation(x + self.branch(x))
        return x


@outlined
class EntryUnit(nn.Module):
    """The first unit of a stage: its input, pooled where it strides, and a branch beside it."""

    def __init__(self, shape: BranchShape, concat: GroupedConcat) -> None:
        super().__init__()
        self.shortcut = nn.AvgPool2d(3, 2, 1) if shape.stride == 2 else nn.Identity()
        self.branch = Branch(shape)
        self.activation = nn.ReLU(inplace=True)
        self.concat = concat

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H/stride, W/stride)."""
        x = self.concat(self.shortcut(x), self.activation(self.branch(x)))
        return x


@outlined
class Stage(nn.Module):
    """An entry unit and then units that keep the width."""

    def __init__(self, layout: StageLayout, architecture: Mapping[str, Any], stride: int) -> None:
        super().__init__()
        table, groups, width = layout.table, layout.groups, layout.width
        added = width - layout.width_in

        def shape(width_in: int, width_out: int, stride: int, first_groups: int) -> BranchShape:
            return BranchShape(
                width_in=width_in,
                bottleneck=layout.bottleneck,
                width=width_out,
                kernel=architecture["kernel"],
                stride=stride,
                groups=groups,
                first_groups=first_groups,
                attention=architecture["attention"],
                squeezed=round_to_8(width_out / table.squeeze),
                shuffle=layout.shuffle,
            )

        # The stem is so narrow that the first convolution after it is not grouped.
        entry = shape(layout.width_in, added, stride, 1 if layout.first else groups)
        self.entry = EntryUnit(entry, layout.concat())
        others = range(1, architecture["depth"])
        self.units = nn.Sequential(*(Unit(shape(width, width, 1, groups)) for _ in others))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H/stride, W/stride)."""
        x = self.units(self.entry(x))
        return x


@dataclass(frozen=True)
class StageLayout:
    """Where a stage's channels lie.

    `first`: the stage after the stem; `shuffle` is an architecture's, if it has one.
    """

    table: Table
    groups: int
    width_in: int
    bottleneck: int
    width: int
    first: bool
    shuffle: str | None = None

    @property
    def parts(self) -> tuple[int, int]:
        """How many channels of the input and of the branch take turns within a group."""
        added = self.width - self.width_in
        if self.first:
            return self.width_in // self.groups, added // self.groups
        common = math.gcd(self.width_in, added)
        return self.width_in // common, added // common

    @property
    def name(self) -> str:
        """Equal in two architectures if a narrower one's channels have the same roles."""
        if not self.table.deals(self.groups):
            widths = f"{self.width_in}to{self.width}_{self.bottleneck}"
            return f"groups{self.groups}_{widths}" + (f"_{self.shuffle}" if self.shuffle else "")
        if self.first:
            return f"groups{self.groups}_stem{self.width_in}"
        return f"groups{self.groups}_{self.parts[0]}to{sum(self.parts)}"

    def concat(self) -> GroupedConcat:
        """Joins a stage's input and the branch of its first unit."""
        if self.table.deals(self.groups):
            return GroupedConcat(self.groups, self.parts)
        return GroupedConcat(1, (self.width_in, self.width - self.width_in))


class ShuffleNetV1(nn.Module):
    """Stem, three stages, mean, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        groups, width = architecture["groups"], architecture["stem"]
        self.resize = image.resize()
        self.stem = ConvNorm(
            image.in_channels, width, 3, stride=2, activation=nn.ReLU(inplace=True)
        )
        self.stem_pool = nn.MaxPool2d(3, 2, 1) if table.stem_pool else nn.Identity()
        self.stages = nn.Sequential()
        for index, (stage, stride) in enumerate(
            zip(architecture["stages"], table.strides, strict=True)
        ):
            wide, middle = stage["width"], stage["bottleneck"]
            layout = StageLayout(
                table, groups, width, middle, wide, index == 0, architecture.get("shuffle")
            )
            named: dict[str, nn.Module] = {layout.name: Stage(layout, stage, stride)}
            self.stages.append(nn.Sequential(OrderedDict(named)))
            width = wide
        self.pool = nn.AdaptiveAvgPool2d(1)
        dealt = groups > 1 and table.deals(groups)
        # The classifier's leading inputs are then those of a narrower network.
        self.order = ChannelShuffle(groups) if dealt else nn.Identity()
        self.classifier = nn.Linear(width, classes, bias=architecture["classifier_bias"])

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.stem(self.resize(x))  # (B, stem, H/2, W/2)
        x = self.stem_pool(x)  # (B, stem, H/4, W/4); H/2 in the small preset
        x = self.stages(x)  # (B, C, H/32, W/32); H/8 in the small preset
        x = self.order(self.pool(x)).flatten(1)  # (B, C)
        x = self.classifier(x)
        return x


class ShuffleNetV1Space(Family[Table]):
    """Number of groups; width, bottleneck, depth, kernel and attention of each stage; the stem.

    In the full preset also whether the classifier has a bias, which official networks lack.
    """

    name = "shufflenetv1"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Widths and bottlenecks are absolute channel counts, multiples of the groups."""
        table = self.table
        groups = choose(trial, "groups", table.groups)
        stem = table.groups[groups].stem.ask(trial, f"stem.width.groups{groups}")
        bias = not table.variants or trial.suggest_categorical("classifier_bias", [False, True])
        width, stages = 0, []
        for index in range(len(table.strides)):
            width = self._suggest_width(trial, index, groups, width)
            stages.append({"width": width, **self._suggest_units(trial, index, groups)})
        return {
            "resolution": self.ask_resolution(trial),
            "groups": groups,
            "stem": stem,
            "stages": stages,
            "classifier_bias": bias,
            **({} if bias or groups == 1 else {"shuffle": "authors"}),
        }

    def _suggest_width(self, trial: Trial, index: int, groups: int, width: int) -> int:
        if index == 0:
            return self.table.groups[groups].width.ask(trial, f"stages.0.width.groups{groups}")
        growth: float = choose(trial, f"stages.{index}.growth", self.table.growths)
        # A whole number: first widths are multiples of four times the groups.
        return round(growth * width)

    def _suggest_units(self, trial: Trial, index: int, groups: int) -> dict[str, Any]:
        table, name = self.table, f"stages.{index}"
        bottleneck = table.groups[groups].bottlenecks[index]
        return {
            "bottleneck": bottleneck.ask(trial, f"{name}.bottleneck.groups{groups}"),
            "depth": table.depths[index].ask(trial, f"{name}.depth"),
            "kernel": choose(trial, f"{name}.kernel", table.kernels),
            "attention": choose(trial, f"{name}.attention", table.attentions),
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return ShuffleNetV1(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return math.prod(self.table.strides) * (4 if self.table.stem_pool else 2)

    def published(self) -> Mapping[str, Published]:
        """The paper's networks, or in the small preset what remains of them at 32×32."""
        return published_points(self.preset)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """What feeds a concatenation or a shuffle: with one group bottlenecks are free."""
        assert isinstance(network, ShuffleNetV1)
        yield network.stem.get_submodule("conv")
        for branch in network.modules():
            if isinstance(branch, Branch):
                if hasattr(branch, "shuffle"):
                    yield branch.get_submodule("reduce.conv")
                yield branch.get_submodule("expand.conv")

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[Part, ...] | None:
        """The leading channels of each group; a bottleneck's before its shuffle, of each pair of
        groups that the shuffle connects.
        """
        found = re.search(r"\.groups(\d+)_", name)
        groups = int(found[1]) if found and self.table.dealt else 1
        if groups == 1 or full == wanted:
            return None
        outputs = groups**2 if ".reduce." in name else groups
        inputs = 1
        if ".squeeze." in name:
            outputs, inputs = 1, groups
        counts = (outputs, inputs, 0, 0)
        return tuple(map(_part, full, wanted, counts))


def _part(full: int, wanted: int, count: int) -> Part:
    """Of a dimension in `count` segments, their leading parts; 0 stands for a kernel's centre."""
    if count > 1 and full != wanted:
        return segments(full, wanted, count)
    start = 0 if count else (full - wanted) // 2
    return slice(start, start + wanted)
