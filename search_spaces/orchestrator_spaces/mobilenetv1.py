"""MobileNetV1 and a space around it.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", 2017, arXiv:1704.04861, table 1; the authors' released code (tensorflow/models,
research/slim/nets/mobilenet_v1.py), which has ReLU6 where the paper says ReLU. The paper scales
all widths by one factor and the image by another. Here each stage has its own width and depth;
added are the depthwise kernel of every block, attention in a stage and the activation.
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
from orchestrator_spaces.blocks.depthwise_separable import (
    DepthwiseSeparable,
    DepthwiseSeparableShape,
    spatially_gated,
)
from orchestrator_spaces.blocks.members import scaled
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.family import Family
from orchestrator_spaces.mobilenetv1_pretrained import PRETRAINED, translate_mobilenetv1

__all__ = ["MobileNetV1", "MobileNetV1Space"]


@dataclass(frozen=True)
class StageTable:
    """What one stage may be; its first block has the stride."""

    stride: int
    width: Range
    depth: Range


@dataclass(frozen=True)
class Table:
    """What a preset may be. The stem's stride is 2."""

    stem_width: Range
    stages: tuple[StageTable, ...]
    kernels: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: float


FULL = Table(
    stem_width=Range(8, 48, 8),
    stages=(
        StageTable(1, Range(16, 96, 8), Range(1, 2)),
        StageTable(2, Range(32, 192, 16), Range(1, 4)),
        StageTable(2, Range(64, 384, 32), Range(1, 4)),
        StageTable(2, Range(128, 768, 64), Range(1, 8)),
        StageTable(2, Range(256, 1280, 128), Range(1, 4)),
    ),
    kernels=(3, 5, 7),
    activations=("relu", "relu6", "hardswish", "silu"),
    dropout=0.001,
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 4×4 and 4×4.
# Without residuals, shared weights of more than eight blocks hardly learn in a few dozen epochs.
SMALL = Table(
    stem_width=Range(8, 24, 8),
    stages=(
        StageTable(1, Range(16, 48, 8), Range(1, 2)),
        StageTable(2, Range(32, 96, 16), Range(1, 2)),
        StageTable(2, Range(64, 160, 32), Range(1, 2)),
        StageTable(1, Range(96, 256, 32), Range(1, 2)),
    ),
    kernels=(3, 5, 7),
    activations=("relu", "relu6", "hardswish", "silu"),
    dropout=0.0,
)

TABLES = {"full": FULL, "small": SMALL}


class MobileNetV1(nn.Module):
    """Stem, stages of depthwise separable convolutions, mean, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        act, width = architecture["activation"], architecture["stem"]
        self.resize = image.resize()
        self.stem = ConvNorm(image.in_channels, width, 3, stride=2, activation=activation(act))
        self.stages = nn.Sequential()
        for stage, choice in zip(architecture["stages"], table.stages, strict=True):
            self.stages.append(_stage(width, stage, stride=choice.stride, act=act))
            width = stage["width"]
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(table.dropout)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, image_size, image_size) → (B, classes)."""
        x = self.resize(x)  # (B, in_channels, H, W)
        x = self.stem(x)  # (B, stem, H/2, W/2)
        x = self.stages(x)  # (B, C, H/32, W/32); H/8 in the small preset
        x = self.pool(x).flatten(1)  # (B, C)
        x = self.classifier(self.dropout(x))
        return x


def _stage(width_in: int, stage: Mapping[str, Any], *, stride: int, act: str) -> nn.Sequential:
    blocks = nn.Sequential()
    for kernel in stage["kernels"]:
        shape = DepthwiseSeparableShape(
            width_in=width_in,
            width=stage["width"],
            kernel=kernel,
            stride=1 if len(blocks) else stride,
            activation=act,
            attention=stage["attention"],
            gate=Gate(round_to_8(width_in / 4)),
        )
        blocks.append(DepthwiseSeparable(shape))
        width_in = stage["width"]
    return blocks


class MobileNetV1Space(Family[Table]):
    """Width, depth and attention of each stage, kernel of each block, activation, image size."""

    name = "mobilenetv1"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Widths are absolute channel counts; a stage has as many blocks as kernels."""
        table = self.table
        return {
            "resolution": self.ask_resolution(trial),
            "activation": choose(trial, "activation", table.activations),
            "stem": table.stem_width.ask(trial, "stem.width"),
            "stages": [self._suggest_stage(trial, index) for index in range(len(table.stages))],
        }

    def _suggest_stage(self, trial: Trial, index: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        kernels = list(self.table.kernels)
        depth = table.depth.ask(trial, f"{name}.depth")
        return {
            "width": table.width.ask(trial, f"{name}.width"),
            "attention": choose(trial, f"{name}.attention", ATTENTIONS),
            "kernels": [
                trial.suggest_categorical(f"{name}.blocks.{block}.kernel", kernels)
                for block in range(depth)
            ],
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return MobileNetV1(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return 2 * math.prod(stage.stride for stage in self.table.stages)

    def published(self) -> Mapping[str, Published]:
        """The paper's networks, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """timm's."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the names that `pretrained` tells."""
        return translate_mobilenetv1(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The depthwise convolutions that feed spatial attention."""
        return spatially_gated(network)


PAPER = "Howard et al. 2017, arXiv:1704.04861"

WIDTHS = (32, 64, 128, 256, 512, 1024)


def _published_full() -> dict[str, Published]:
    source = f"{PAPER}; tensorflow/models research/slim/nets/mobilenet_v1.md"
    facts = {
        1.0: (4_231_976, 568_740_352, 70.6),
        0.75: (2_585_560, 325_400_448, 68.4),
        0.5: (1_331_592, 149_497_088, 63.7),
        0.25: (470_072, 41_030_272, 50.6),
    }
    return {
        str(factor): Published(
            _choices(_widths(WIDTHS, factor), (1, 2, 2, 6, 2)), 224, source, *counts
        )
        for factor, counts in facts.items()
    }


def _published_small() -> dict[str, Published]:
    how = "the stage at 7×7 left out, fewer blocks, narrower, stages at 16×16, 8×8, 4×4 and 4×4"
    points = {
        f"{factor}": _choices(widths, (1, 2, 2, 2))
        for factor, widths in {
            1.0: (24, 48, 96, 160, 256),
            0.75: (16, 32, 64, 128, 192),
            0.5: (16, 24, 48, 96, 128),
            0.25: (8, 16, 32, 64, 96),
        }.items()
    }
    return scaled(PAPER, how, points)


def _widths(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    return tuple(int(width * factor) for width in widths)


def _choices(widths: tuple[int, ...], depths: tuple[int, ...]) -> dict[str, Any]:
    stem, *others = widths
    choices: dict[str, Any] = {"resolution": 1.0, "activation": "relu6", "stem.width": stem}
    for index, (width, depth) in enumerate(zip(others, depths, strict=True)):
        name = f"stages.{index}"
        choices |= {f"{name}.width": width, f"{name}.depth": depth, f"{name}.attention": "none"}
        choices |= {f"{name}.blocks.{block}.kernel": 3 for block in range(depth)}
    return choices
