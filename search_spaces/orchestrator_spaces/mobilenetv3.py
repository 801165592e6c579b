"""MobileNetV3 and a space around it.

Howard et al., "Searching for MobileNetV3", 2019, arXiv:1905.02244, tables 1 and 2; code
tensorflow/models, research/slim/nets/mobilenet. As in the paper's NetAdapt step, widths and
expanded widths are free multiples of 8. As in once-for-all (Cai et al., 2020, arXiv:1908.09791;
code mit-han-lab/once-for-all), kernel and expansion belong to a block, depth to a stage, and the
image size is a choice; its networks are members too. Attention and activation belong to a stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn

from orchestrator import Checkpoint, Classes, ImageFacts, Maps, Published, Trial
from orchestrator_spaces.blocks.channel_attention import ATTENTIONS, Gate
from orchestrator_spaces.blocks.convolution import ConvNorm, activation, round_to_8
from orchestrator_spaces.blocks.inverted_residual import (
    InvertedResidual,
    InvertedResidualShape,
    spatially_gated_layers,
)
from orchestrator_spaces.blocks.pyramid import Pyramid, StageEnd, Trunk
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.family import Family
from orchestrator_spaces.mobilenetv3_pretrained import PRETRAINED, translate_mobilenetv3
from orchestrator_spaces.mobilenetv3_published import HS, RE, published_full, published_small

__all__ = ["MobileNetV3", "MobileNetV3Space"]


@dataclass(frozen=True)
class StageTable:
    """What one stage may be.

    Each block is asked for its `expanded` width or, where that is None, for one of `ratios`,
    which multiplies the block's input width.
    """

    width: Range
    depth: Range
    expanded: Range | None = None
    ratios: tuple[int, ...] = ()


@dataclass(frozen=True)
class Table:
    """What a preset may be. A layout is the strides of its stages; 0 leaves a stage out."""

    layouts: Mapping[str, tuple[int, ...]]
    stages: tuple[StageTable, ...]
    stem_width: Range
    head_width: Range
    hidden: tuple[int, ...]
    head_biases: tuple[bool, ...]
    dropout: float
    kernels: tuple[int, ...] = (3, 5, 7)


FULL = Table(
    # Small downsamples one stage earlier and does without the fourth stage.
    layouts={"large": (1, 2, 2, 2, 1, 2), "small": (2, 2, 2, 0, 1, 2)},
    stages=(
        StageTable(Range(8, 32, 8), Range(1, 2), Range(16, 64, 8)),
        StageTable(Range(16, 40, 8), Range(1, 4), Range(48, 192, 8)),
        StageTable(Range(24, 64, 8), Range(1, 5), Range(64, 288, 8)),
        StageTable(Range(48, 104, 8), Range(1, 5), Range(120, 576, 8)),
        StageTable(Range(32, 144, 8), Range(1, 4), Range(96, 816, 8)),
        StageTable(Range(64, 208, 8), Range(1, 4), Range(240, 1152, 8)),
    ),
    stem_width=Range(16, 32, 8),
    head_width=Range(288, 1152, 48),
    hidden=(512, 768, 1024, 1280, 1536),
    head_biases=(False, True),
    dropout=0.2,
)

# 32×32 in: 16×16 after the stem, then 16×16 or 8×8, 8×8, 4×4 and 4×4.
SMALL = Table(
    layouts={"large": (1, 2, 2, 1), "small": (2, 1, 2, 1)},
    stages=(
        StageTable(Range(8, 24, 8), Range(1, 1), ratios=(1, 2, 3)),
        StageTable(Range(16, 40, 8), Range(1, 3), ratios=(2, 3, 4)),
        StageTable(Range(32, 64, 8), Range(1, 3), ratios=(2, 3, 4, 6)),
        StageTable(Range(48, 96, 16), Range(1, 3), ratios=(2, 3, 4, 6)),
    ),
    stem_width=Range(8, 16, 8),
    head_width=Range(96, 288, 48),
    hidden=(64, 128, 256),
    head_biases=(True,),
    dropout=0.0,
)

TABLES = {"full": FULL, "small": SMALL}


class MobileNetV3Trunk(Trunk):
    """Stem and stages of inverted residuals; a stage that the layout leaves out is empty."""

    def __init__(self, architecture: Mapping[str, Any], image: ImageShape) -> None:
        super().__init__(image)
        stem, stages = architecture["stem"], architecture["stages"]
        width, stride = stem["width"], 2
        self.stem = ConvNorm(
            image.in_channels, width, 3, stride=stride, activation=_activation(stem)
        )
        self.stages = nn.Sequential()
        for stage in stages:
            self.stages.append(_stage(width, stage))
            if stage:
                width, stride = stage["width"], stride * stage["stride"]
            self.ends.append(StageEnd(width, stride))


class MobileNetV3(MobileNetV3Trunk):
    """Stem and stages, 1×1 convolution, mean, hidden layer, classifier."""

    def __init__(
        self,
        architecture: Mapping[str, Any],
        image: ImageShape,
        *,
        classes: int,
        dropout: float,
    ) -> None:
        super().__init__(architecture, image)
        head, width = architecture["head"], self.ends[-1].channels
        self.last = ConvNorm(width, head["width"], 1, activation=_activation(head))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.hidden = nn.Linear(head["width"], head["hidden"], bias=head["bias"])
        self.activation = _activation(head)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(head["hidden"], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.resize(x)  # (B, in_channels, S, S)
        x = self.stem(x)  # (B, stem, S/2, S/2)
        x = self.stages(x)
        x = self.last(x)  # (B, head, S/32, S/32), S/8 in the small preset
        x = self.pool(x).flatten(1)  # (B, head)
        x = self.dropout(self.activation(self.hidden(x)))
        x = self.classifier(x)
        return x


class MobileNetV3Space(Family[Table]):
    """Kernel and expansion of each block; width, depth, attention and activation of each stage.

    The "full" preset asks for every block's expanded width, the "small" one for its ratio. Also
    widths of stem and head, resolution, strides as Large's or Small's ("layout"), and in the
    full preset whether the layer after the pool has a bias, which once-for-all does without.
    """

    name = "mobilenetv3"
    tables = TABLES
    serves = frozenset({Classes, Maps})
    classifier_choices = frozenset({"head.width", "head.hidden", "head.bias", "head.activation"})

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Resolution; strides, widths and operators of stem, stages and head."""
        table = self.table
        resolution = self.ask_resolution(trial)
        layout = choose(trial, "layout", table.layouts)
        stem: dict[str, Any] = {
            "width": table.stem_width.ask(trial, "stem.width"),
            **_ask_activation(trial, "stem"),
        }
        stages: list[dict[str, Any] | None] = []
        width: int = stem["width"]
        for index, stride in enumerate(table.layouts[layout]):
            stage = self._suggest_stage(trial, index, width) if stride else None
            stages.append(stage and {"stride": stride, **stage})
            width = stage["width"] if stage else width
        head = self._suggest_head(trial)
        return {"resolution": resolution, "stem": stem, "stages": stages, "head": head}

    def _suggest_stage(self, trial: Trial, index: int, width_in: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        width = table.width.ask(trial, f"{name}.width")
        depth = table.depth.ask(trial, f"{name}.depth")
        blocks = []
        for block in range(depth):
            before = width if block else width_in
            kernel = choose(trial, f"{name}.blocks.{block}.kernel", self.table.kernels)
            expanded = _ask_expanded(trial, table, f"{name}.blocks.{block}", before)
            blocks.append({"kernel": kernel, "expanded": expanded})
        return {
            "width": width,
            "blocks": blocks,
            "attention": choose(trial, f"{name}.attention", ATTENTIONS),
            **_ask_activation(trial, name),
        }

    def _suggest_head(self, trial: Trial) -> dict[str, Any]:
        width = self.table.head_width.ask(trial, "head.width")
        hidden = choose(trial, "head.hidden", self.table.hidden)
        bias = choose(trial, "head.bias", self.table.head_biases)
        return {"width": width, "hidden": hidden, "bias": bias, **_ask_activation(trial, "head")}

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        dropout = self.table.dropout
        return MobileNetV3(architecture, image, classes=classes, dropout=dropout)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        strides: list[int] = [stage["stride"] for stage in architecture["stages"] if stage]
        return 2 * prod(strides)

    def features(self, architecture: Mapping[str, Any], facts: ImageFacts) -> nn.Module:
        """The maps at the end of stages; raises BuildError as `build`."""
        pyramid = Pyramid(MobileNetV3Trunk(architecture, self.image(architecture, facts)))
        return self.conventional(pyramid, architecture)

    def published(self) -> Mapping[str, Published]:
        """The papers' networks, or in the small preset what remains of them at 32×32."""
        return published_full() if self.preset == "full" else published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """torchvision's, timm's, and the authors' by timm."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the names that `pretrained` tells."""
        return translate_mobilenetv3(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """What spatial attention averages over."""
        return spatially_gated_layers(network)


def _activation(part: Mapping[str, Any]) -> nn.Module:
    return activation(part["activation"])


def _ask_activation(trial: Trial, part: str) -> dict[str, str]:
    return {"activation": trial.suggest_categorical(f"{part}.activation", [RE, HS])}


def _ask_expanded(trial: Trial, table: StageTable, name: str, width_in: int) -> int:
    if table.expanded:
        return table.expanded.ask(trial, f"{name}.expanded")
    return width_in * int(choose(trial, f"{name}.ratio", table.ratios))


def _stage(width: int, stage: Mapping[str, Any] | None) -> nn.Sequential:
    blocks = nn.Sequential()
    if stage is None:
        return blocks
    for index, block in enumerate(stage["blocks"]):
        shape = InvertedResidualShape(
            width_in=stage["width"] if index else width,
            expanded=block["expanded"],
            width=stage["width"],
            kernel=block["kernel"],
            stride=1 if index else stage["stride"],
            activation=stage["activation"],
            attention=stage["attention"],
            gate=_gate(stage["attention"], block["expanded"]),
        )
        blocks.append(InvertedResidual(shape))
    return blocks


def _gate(kind: str, expanded: int) -> Gate:
    """A quarter and a hard sigmoid as this paper has it, else a sixteenth as CBAM's has it."""
    if kind == "se":
        return Gate(round_to_8(expanded / 4))
    return Gate(round_to_8(expanded / 16), sigmoid="sigmoid")
