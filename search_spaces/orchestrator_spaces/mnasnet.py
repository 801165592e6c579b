"""MnasNet and the factorised hierarchical space it was found in.

Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", 2019,
arXiv:1807.11626; code tensorflow/tpu, models/official/mnasnet. All layers of a stage are alike,
and each stage chooses for itself: operator, kernel, expansion, squeeze-and-excitation, skip,
number of layers, width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn

from orchestrator import Checkpoint, Published, Trial, outlined
from orchestrator_spaces.blocks.channel_attention import Gate, SqueezeExcitation
from orchestrator_spaces.blocks.convolution import ConvNorm
from orchestrator_spaces.blocks.inverted_residual import (
    InvertedResidualShape,
    inverted_residual_layers,
)
from orchestrator_spaces.blocks.members import scaled
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.family import Family
from orchestrator_spaces.mnasnet_pretrained import PRETRAINED, translate_mnasnet

__all__ = ["Layer", "MnasNet", "MnasNetSpace"]

# A regular convolution; a depthwise and a 1×1 one; the inverted residual.
OPERATORS = ("conv", "separable", "mbconv")
KERNELS = (3, 5)
# An inverted residual of expansion 1 is the separable convolution.
EXPANSIONS = (3, 6)
SKIPS = ("none", "identity", "pooling")


@dataclass(frozen=True)
class StageTable:
    """What one stage may be; `stride` is its first layer's."""

    stride: int
    width: Range
    depth: Range


@dataclass(frozen=True)
class Table:
    """What a preset may be."""

    stages: tuple[StageTable, ...]
    stem_width: Range
    head_widths: tuple[int, ...]
    dropout: float


# The paper's ± 1 layer and × 0.75 to 1.25 in width, around MobileNetV2 and the found networks.
FULL = Table(
    stages=(
        StageTable(1, Range(8, 24, 8), Range(1, 2)),
        StageTable(2, Range(16, 32, 8), Range(1, 4)),
        StageTable(2, Range(16, 56, 8), Range(1, 4)),
        StageTable(2, Range(32, 104, 8), Range(1, 5)),
        StageTable(1, Range(32, 144, 8), Range(1, 4)),
        StageTable(2, Range(88, 240, 8), Range(1, 5)),
        StageTable(1, Range(144, 400, 8), Range(1, 2)),
    ),
    stem_width=Range(8, 32, 8),
    head_widths=(640, 960, 1280),
    dropout=0.2,
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 8×8, 4×4 and 4×4.
SMALL = Table(
    stages=(
        StageTable(1, Range(8, 16, 8), Range(1, 1)),
        StageTable(2, Range(16, 24, 8), Range(1, 2)),
        StageTable(1, Range(24, 40, 8), Range(1, 2)),
        StageTable(2, Range(32, 64, 8), Range(1, 3)),
        StageTable(1, Range(48, 80, 8), Range(1, 1)),
    ),
    stem_width=Range(8, 16, 8),
    head_widths=(160, 240, 320),
    dropout=0.0,
)

TABLES = {"full": FULL, "small": SMALL}


@outlined
class Layer(nn.Module):
    """Layers, and their input beside them: as it is, averaged over 3×3 places, or not at all.

    A skip stands only where the layers keep width and side. The paper names "pooling" and leaves
    open which.
    """

    def __init__(self, layers: nn.Module, skip: str) -> None:
        super().__init__()
        self.layers = layers
        if skip == "identity":
            self.skip: nn.Module = nn.Identity()
        elif skip == "pooling":
            self.skip = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) → (B, width, ⌈H/stride⌉, ⌈W/stride⌉)."""
        x = self.skip(x) + self.layers(x) if hasattr(self, "skip") else self.layers(x)
        return x


class MnasNet(nn.Module):
    """Stem, stages, 1×1 convolution, mean, classifier; ReLU throughout."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        width, head = architecture["stem"], architecture["head"]
        self.resize = image.resize()
        self.stem = ConvNorm(
            image.in_channels, width, 3, stride=2, activation=nn.ReLU(inplace=True)
        )
        self.stages = nn.Sequential()
        for stage, place in zip(architecture["stages"], table.stages, strict=True):
            self.stages.append(_stage(width, stage, place.stride))
            width = stage["width"]
        self.last = ConvNorm(width, head, 1, activation=nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(table.dropout)
        self.classifier = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.resize(x)  # (B, in_channels, S, S)
        x = self.stem(x)  # (B, stem, S/2, S/2)
        x = self.stages(x)
        x = self.last(x)  # (B, head, S/32, S/32), S/8 in the small preset
        x = self.pool(x).flatten(1)  # (B, head)
        x = self.classifier(self.dropout(x))
        return x


def _stage(width_in: int, stage: Mapping[str, Any], stride: int) -> nn.Sequential:
    """Named by its operator, so that two operators never share a weight."""
    layers = nn.Sequential()
    for index in range(stage["depth"]):
        kept = bool(index) or _keeps(width_in, stage["width"], stride)
        operator = _operator(stage["width"] if index else width_in, stage, 1 if index else stride)
        layers.append(Layer(operator, stage["skip"] if kept else "none"))
    return nn.Sequential(OrderedDict([(stage["operator"], layers)]))


def _keeps(width_in: int, width: int, stride: int) -> bool:
    return stride == 1 and width_in == width


@outlined
def _operator(width_in: int, stage: Mapping[str, Any], stride: int) -> nn.Module:
    # A quarter of the layer's input, not of what is squeezed.
    gate = Gate(max(1, width_in // 4), sigmoid="sigmoid")
    if stage["operator"] != "conv":
        return inverted_residual_layers(
            InvertedResidualShape(
                width_in=width_in,
                expanded=stage["expansion"] * width_in,
                width=stage["width"],
                kernel=stage["kernel"],
                stride=stride,
                activation="relu",
                attention="se" if stage["se"] else "none",
                gate=gate,
            )
        )
    conv = ConvNorm(
        width_in,
        stage["width"],
        stage["kernel"],
        stride=stride,
        activation=nn.ReLU(inplace=True),
    )
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if stage["se"]:
        layers["se"] = SqueezeExcitation(stage["width"], gate)
    return nn.Sequential(layers)


class MnasNetSpace(Family[Table]):
    """Operator, kernel, expansion, squeeze-and-excitation, skip, depth and width of each stage.

    Also the widths of stem and head, and the resolution.
    """

    name = "mnasnet"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Resolution, stages and the widths of stem and head."""
        resolution = self.ask_resolution(trial)
        width = stem = self.table.stem_width.ask(trial, "stem.width")
        stages: list[dict[str, Any]] = []
        for index in range(len(self.table.stages)):
            stages.append(self._suggest_stage(trial, index, width))
            width = stages[-1]["width"]
        head = choose(trial, "head.width", self.table.head_widths)
        return {"resolution": resolution, "stem": stem, "stages": stages, "head": head}

    def _suggest_stage(self, trial: Trial, index: int, width_in: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        width = table.width.ask(trial, f"{name}.width")
        depth = table.depth.ask(trial, f"{name}.depth")
        operator = choose(trial, f"{name}.operator", OPERATORS)
        expansion, skip = 1, "none"
        if operator == "mbconv":
            expansion = choose(trial, f"{name}.expansion", EXPANSIONS)
        if depth > 1 or _keeps(width_in, width, table.stride):
            skip = choose(trial, f"{name}.skip", SKIPS)
        return {
            "width": width,
            "depth": depth,
            "operator": operator,
            "expansion": expansion,
            "kernel": choose(trial, f"{name}.kernel", KERNELS),
            "se": trial.suggest_categorical(f"{name}.se", [False, True]),
            "skip": skip,
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return MnasNet(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return 2 * prod(stage.stride for stage in self.table.stages)

    def published(self) -> Mapping[str, Published]:
        """A1, B1 and small, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """torchvision's and timm's."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the names that `pretrained` tells."""
        return translate_mnasnet(state, naming)


@dataclass(frozen=True)
class Row:
    """A line of a published table; expansion 1 stands for the separable convolution."""

    depth: int
    kernel: int
    expansion: int
    width: int
    se: bool = False
    skip: str = "identity"


A1 = (
    Row(1, 3, 1, 16),
    Row(2, 3, 6, 24),
    Row(3, 5, 3, 40, se=True),
    Row(4, 3, 6, 80),
    Row(2, 3, 6, 112, se=True),
    Row(3, 5, 6, 160, se=True),
    Row(1, 3, 6, 320),
)
B1 = (
    Row(1, 3, 1, 16),
    Row(3, 3, 3, 24),
    Row(3, 5, 3, 40),
    Row(3, 5, 6, 80),
    Row(2, 3, 6, 96),
    Row(4, 5, 6, 192),
    Row(1, 3, 6, 320),
)
MINI = (
    # The authors' code compares widths before its own scaling here and so does not skip.
    Row(1, 3, 1, 8, skip="none"),
    Row(1, 3, 3, 16),
    Row(2, 3, 6, 16),
    Row(4, 5, 6, 32, se=True),
    Row(3, 3, 6, 32, se=True),
    Row(3, 5, 6, 88, se=True),
    Row(1, 3, 6, 144),
)

PAPER = "Tan et al. 2019, arXiv:1807.11626"


def _published_full() -> dict[str, Published]:
    source = f"{PAPER}; tensorflow/tpu models/official/mnasnet"
    timm = f"{PAPER}; timm's form, which adds the first stage's input as well"
    a1, b1, mini = (
        _choices(FULL, stem, 1280, rows) for stem, rows in ((32, A1), (32, B1), (8, MINI))
    )
    skipping = mini | {"stages.0.skip": "identity"}
    return {
        "b1": Published(b1, 224, source, 4_383_312, 314_415_872, 74.5),
        "a1": Published(a1, 224, source, 3_887_038, 311_579_072, 75.2),
        "small": Published(mini, 224, source, 2_030_264, 68_339_184, 66.0),
        "small-timm": Published(skipping, 224, timm, 2_030_264, 68_339_184),
    }


# Five stages: of the seven, the fourth and fifth are left out.
SMALL_B1 = (
    Row(1, 3, 1, 16),
    Row(2, 3, 3, 24),
    Row(2, 5, 3, 40),
    Row(3, 5, 6, 64),
    Row(1, 3, 6, 80),
)
SMALL_A1 = (
    Row(1, 3, 1, 16),
    Row(1, 3, 6, 24),
    Row(2, 5, 3, 40, se=True),
    Row(2, 5, 6, 56, se=True),
    Row(1, 3, 6, 80),
)
SMALL_MINI = (
    Row(1, 3, 1, 8, skip="none"),
    Row(1, 3, 3, 16),
    Row(1, 3, 6, 24),
    Row(2, 5, 6, 32, se=True),
    Row(1, 3, 6, 48),
)


def _published_small() -> dict[str, Published]:
    how = (
        "five of the seven stages, from 16×16 down to 4×4, about half of "
        "the depth, narrower stem and head"
    )
    members = {
        "b1": (16, 320, SMALL_B1),
        "a1": (16, 320, SMALL_A1),
        "small": (8, 160, SMALL_MINI),
    }
    points = {
        name: _choices(SMALL, stem, head, rows) for name, (stem, head, rows) in members.items()
    }
    return scaled(PAPER, how, points)


def _choices(table: Table, stem: int, head: int, rows: tuple[Row, ...]) -> dict[str, Any]:
    choices: dict[str, Any] = {"resolution": 1.0, "stem.width": stem, "head.width": head}
    width = stem
    for index, (row, stage) in enumerate(zip(rows, table.stages, strict=True)):
        name = f"stages.{index}"
        choices |= {
            f"{name}.width": row.width,
            f"{name}.operator": "separable" if row.expansion == 1 else "mbconv",
            f"{name}.kernel": row.kernel,
            f"{name}.se": row.se,
        }
        if stage.depth.high > stage.depth.low:
            choices[f"{name}.depth"] = row.depth
        if row.expansion > 1:
            choices[f"{name}.expansion"] = row.expansion
        if row.depth > 1 or _keeps(width, row.width, stage.stride):
            choices[f"{name}.skip"] = row.skip
        width = row.width
    return choices
