"""MobileNetV2 and a space around it.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, arXiv:1801.04381,
table 2; the authors' released code (tensorflow/models, research/slim/nets/mobilenet). The space
follows Cai et al., "ProxylessNAS", 2018, arXiv:1812.00332, and "Once-for-All", 2019,
arXiv:1908.09791: kernel and expansion of every block, depth of every stage, image size. Added:
width, activation and attention of every stage, and the width of the last convolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from orchestrator import Checkpoint, Published, Trial
from orchestrator_spaces.blocks.channel_attention import ATTENTIONS, Gate
from orchestrator_spaces.blocks.convolution import ConvNorm, activation, round_to_8
from orchestrator_spaces.blocks.inverted_residual import (
    InvertedResidual,
    InvertedResidualShape,
    spatially_gated_layers,
)
from orchestrator_spaces.blocks.members import scaled
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.family import Family
from orchestrator_spaces.mobilenetv2_pretrained import PRETRAINED, translate_mobilenetv2

__all__ = ["MobileNetV2", "MobileNetV2Space"]


@dataclass(frozen=True)
class StageTable:
    """What one stage may be; its first block has the stride.

    A block's expanded width is its input's times one of `expansions`. 1 stands alone or not at
    all: a block without an expansion has another operator in its depthwise convolution's place.
    """

    stride: int
    width: Range
    depth: Range
    expansions: tuple[int, ...] = (3, 4, 6)


@dataclass(frozen=True)
class Table:
    """What a preset may be. The stem's stride is 2."""

    stem_width: Range
    stages: tuple[StageTable, ...]
    last_width: Range
    kernels: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: float


FULL = Table(
    stem_width=Range(16, 48, 8),
    stages=(
        StageTable(1, Range(8, 24, 8), Range(1, 1), expansions=(1,)),
        StageTable(2, Range(8, 40, 8), Range(1, 4)),
        StageTable(2, Range(16, 56, 8), Range(1, 4)),
        StageTable(2, Range(24, 96, 8), Range(1, 5)),
        StageTable(1, Range(32, 144, 8), Range(1, 4)),
        StageTable(2, Range(56, 240, 8), Range(1, 4)),
        StageTable(1, Range(112, 480, 16), Range(1, 2)),
    ),
    last_width=Range(640, 1920, 128),
    kernels=(3, 5, 7),
    activations=("relu", "relu6", "hardswish", "silu"),
    dropout=0.2,
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 4×4 and 4×4.
SMALL = Table(
    stem_width=Range(8, 24, 8),
    stages=(
        StageTable(1, Range(8, 16, 8), Range(1, 1), expansions=(1,)),
        StageTable(2, Range(16, 32, 8), Range(1, 3)),
        StageTable(2, Range(24, 56, 8), Range(1, 3)),
        StageTable(1, Range(48, 80, 16), Range(1, 2)),
    ),
    last_width=Range(128, 320, 64),
    kernels=(3, 5, 7),
    activations=("relu", "relu6", "hardswish", "silu"),
    dropout=0.0,
)

TABLES = {"full": FULL, "small": SMALL}


class MobileNetV2(nn.Module):
    """Stem, stages of inverted residuals, 1×1 convolution, mean, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        stem, last = architecture["stem"], architecture["last"]
        width = stem["width"]
        self.resize = image.resize()
        self.stem = ConvNorm(image.in_channels, width, 3, stride=2, activation=_activation(stem))
        self.stages = nn.Sequential()
        for stage, choice in zip(architecture["stages"], table.stages, strict=True):
            self.stages.append(_stage(width, stage, stride=choice.stride))
            width = stage["width"]
        self.last = ConvNorm(width, last["width"], 1, activation=_activation(last))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(table.dropout)
        self.classifier = nn.Linear(last["width"], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, image_size, image_size) → (B, classes)."""
        x = self.resize(x)  # (B, in_channels, H, W)
        x = self.stem(x)  # (B, stem, H/2, W/2)
        x = self.stages(x)
        x = self.last(x)  # (B, last, H/32, W/32); H/8 in the small preset
        x = self.pool(x).flatten(1)  # (B, last)
        x = self.classifier(self.dropout(x))
        return x


def _activation(part: Mapping[str, Any]) -> nn.Module:
    return activation(part["activation"])


def _stage(width_in: int, stage: Mapping[str, Any], *, stride: int) -> nn.Sequential:
    blocks = nn.Sequential()
    for block in stage["blocks"]:
        expanded = width_in * block["expansion"]
        shape = InvertedResidualShape(
            width_in=width_in,
            expanded=expanded,
            width=stage["width"],
            kernel=block["kernel"],
            stride=1 if len(blocks) else stride,
            activation=stage["activation"],
            attention=stage["attention"],
            gate=Gate(round_to_8(expanded / 4)),
        )
        blocks.append(InvertedResidual(shape))
        width_in = stage["width"]
    return blocks


class MobileNetV2Space(Family[Table]):
    """Kernel and expansion of each block; depth, width, activation and attention of each stage."""

    name = "mobilenetv2"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Widths are absolute channel counts, an expansion multiplies a block's input width."""
        table = self.table
        return {
            "resolution": self.ask_resolution(trial),
            "stem": self._suggest_part(trial, "stem", table.stem_width),
            "stages": [self._suggest_stage(trial, index) for index in range(len(table.stages))],
            "last": self._suggest_part(trial, "last", table.last_width),
        }

    def _suggest_part(self, trial: Trial, name: str, width: Range) -> dict[str, Any]:
        activations = list(self.table.activations)
        return {
            "width": width.ask(trial, f"{name}.width"),
            "activation": trial.suggest_categorical(f"{name}.activation", activations),
        }

    def _suggest_stage(self, trial: Trial, index: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        depth = table.depth.low
        if table.depth.high > depth:
            depth = table.depth.ask(trial, f"{name}.depth")
        return {
            **self._suggest_part(trial, name, table.width),
            "attention": choose(trial, f"{name}.attention", ATTENTIONS),
            "blocks": [
                self._suggest_block(trial, f"{name}.blocks.{block}", table.expansions)
                for block in range(depth)
            ],
        }

    def _suggest_block(
        self, trial: Trial, name: str, expansions: tuple[int, ...]
    ) -> dict[str, Any]:
        expansion = expansions[0]
        if len(expansions) > 1:
            expansion = choose(trial, f"{name}.expansion", expansions)
        kernel = choose(trial, f"{name}.kernel", self.table.kernels)
        return {"kernel": kernel, "expansion": expansion}

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return MobileNetV2(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return 2 * math.prod(stage.stride for stage in self.table.stages)

    def published(self) -> Mapping[str, Published]:
        """The paper's networks, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """torchvision's and timm's."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the names that `pretrained` tells."""
        return translate_mobilenetv2(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The depthwise convolutions that feed spatial attention."""
        return spatially_gated_layers(network)


PAPER = "Sandler et al. 2018, arXiv:1801.04381"

WIDTHS = (32, 16, 24, 32, 64, 96, 160, 320)


def _published_full() -> dict[str, Published]:
    source = f"{PAPER}; tensorflow/models research/slim/nets/mobilenet/README.md"
    facts = {
        1.4: (6_108_776, 582_195_824, 75.0),
        1.3: (5_386_792, 509_374_560, 74.4),
        1.0: (3_504_872, 300_774_272, 71.8),
        0.75: (2_636_424, 209_069_792, 69.8),
        0.5: (1_968_680, 97_131_840, 65.4),
        0.35: (1_677_128, 59_285_808, 60.3),
    }
    return {
        str(factor): Published(_scaled(factor), 224, source, *counts)
        for factor, counts in facts.items()
    }


def _scaled(factor: float) -> dict[str, Any]:
    """All widths times `factor`, except that the last convolution is never narrower than 1280."""
    widths = tuple(round_to_8(width * factor) for width in WIDTHS)
    last = round_to_8(1280 * max(1.0, factor))
    return _choices(widths, (1, 2, 3, 4, 3, 3, 1), last=last)


def _published_small() -> dict[str, Published]:
    how = "three stages left out, fewer blocks, narrower, stages at 16×16, 8×8, 4×4 and 4×4"
    points = {
        f"{factor}": _choices(widths, (1, 2, 3, 2), last=last)
        for factor, widths, last in (
            (1.4, (24, 16, 32, 48, 80), 320),
            (1.0, (16, 16, 24, 32, 64), 256),
            (0.75, (16, 8, 16, 24, 48), 192),
            (0.5, (8, 8, 16, 24, 48), 128),
        )
    }
    return scaled(PAPER, how, points)


def _choices(widths: tuple[int, ...], depths: tuple[int, ...], *, last: int) -> dict[str, Any]:
    stem, *others = widths
    choices: dict[str, Any] = {
        "resolution": 1.0,
        "stem.width": stem,
        "stem.activation": "relu6",
        "last.width": last,
        "last.activation": "relu6",
    }
    for index, (width, depth) in enumerate(zip(others, depths, strict=True)):
        name = f"stages.{index}"
        choices |= {
            f"{name}.width": width,
            f"{name}.activation": "relu6",
            f"{name}.attention": "none",
        }
        choices |= {f"{name}.blocks.{block}.kernel": 3 for block in range(depth)}
        if index:
            choices[f"{name}.depth"] = depth
            choices |= {f"{name}.blocks.{block}.expansion": 6 for block in range(depth)}
    return choices
