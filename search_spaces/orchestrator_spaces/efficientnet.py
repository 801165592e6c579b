"""EfficientNet, EfficientNet-Lite, and a space around each.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019,
arXiv:1905.11946, and the authors' code (tensorflow/tpu, models/official/efficientnet; Lite, 2020,
in its directory lite). All members are one table of stages, its widths times one coefficient
(rounded to 8), its depths times another (rounded up), at an image size of their own. Here both
coefficients are choices, and around the scaled network those of the spaces it came from: kernel
and expansion of each stage as in once-for-all (Cai et al. 2020, arXiv:1908.09791), a block more
or less as in MnasNet (Tan et al. 2019, arXiv:1807.11626), and attention and activation. Lite is
made for quantisation: no attention, ReLU6, first and last layers that do not grow.

The authors train with stochastic depth and a slow batch norm; neither is part of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor, nn

from orchestrator import Checkpoint, Published, Trial
from orchestrator_spaces.blocks.channel_attention import ATTENTIONS, Gate
from orchestrator_spaces.blocks.convolution import ConvNorm, activation, round_to_8
from orchestrator_spaces.blocks.inverted_residual import (
    InvertedResidual,
    InvertedResidualShape,
    spatially_gated_layers,
)
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.efficientnet_pretrained import (
    LITE_PRETRAINED,
    PRETRAINED,
    translate_efficientnet,
)
from orchestrator_spaces.family import Family

__all__ = ["EfficientNet", "EfficientNetLiteSpace", "EfficientNetSpace"]


@dataclass(frozen=True)
class StageTable:
    """One stage before scaling; expansion 1 means that there is none, nor a choice of it."""

    expansion: int
    kernel: int
    stride: int
    width: int
    depth: int


@dataclass(frozen=True)
class Table:
    """What a preset may be. The stem's stride is 2.

    `widths` gives for each width coefficient the dropout before the classifier. Fixed ends are
    the widths of stem and head and the depths of the first and the last stage, which Lite does
    not scale. Published are the first attention and the first activation. A stage may have a
    block less than its scaled number, and up to `most_extra` more.
    """

    stages: tuple[StageTable, ...]
    stem: int
    head: int
    widths: Mapping[float, float]
    depths: tuple[float, ...]
    expansions: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 5, 7)
    attentions: tuple[str, ...] = ("se", *(kind for kind in ATTENTIONS if kind != "se"))
    activations: tuple[str, ...] = ("silu", "hardswish", "relu")
    fixed_ends: bool = False
    most_extra: int = 1

    def extra(self, index: int) -> Range:
        """Blocks that stage `index` may have beside the scaled number; negative for fewer."""
        # A stage of a single block keeps it, as it changes the width and may stride.
        return Range(-1 if self.stages[index].depth > 1 else 0, self.most_extra)

    def repeats(self, index: int, coefficient: float) -> int:
        """Blocks of stage `index`, scaled."""
        last = len(self.stages) - 1
        factor = 1.0 if self.fixed_ends and index in (0, last) else coefficient
        return math.ceil(factor * self.stages[index].depth)

    def end(self, width: int, coefficient: float) -> int:
        """Channels of stem or head, scaled."""
        return width if self.fixed_ends else round_to_8(coefficient * width)


FULL = Table(
    stages=(
        StageTable(1, 3, 1, 16, 1),
        StageTable(6, 3, 2, 24, 2),
        StageTable(6, 5, 2, 40, 2),
        StageTable(6, 3, 2, 80, 3),
        StageTable(6, 5, 1, 112, 3),
        StageTable(6, 5, 2, 192, 4),
        StageTable(6, 3, 1, 320, 1),
    ),
    stem=32,
    head=1280,
    widths={
        0.5: 0.2,
        0.75: 0.2,
        1.0: 0.2,
        1.1: 0.3,
        1.2: 0.3,
        1.4: 0.4,
        1.6: 0.4,
        1.8: 0.5,
        2.0: 0.5,
    },
    # B1's and Lite1's 1.1 rounds to the same numbers of blocks as 1.2, so it is not a choice.
    depths=(1.0, 1.2, 1.4, 1.8, 2.2, 2.6, 3.1),
    expansions=(3, 4, 6),
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 8×8, 4×4 and 4×4.
SMALL = Table(
    stages=(
        StageTable(1, 3, 1, 16, 1),
        StageTable(4, 3, 2, 24, 2),
        StageTable(4, 5, 1, 32, 2),
        StageTable(4, 3, 2, 56, 2),
        StageTable(4, 5, 1, 96, 1),
    ),
    stem=16,
    head=256,
    widths=dict.fromkeys((0.5, 0.75, 1.0, 1.25), 0.0),
    depths=(1.0, 1.5),
    expansions=(2, 3, 4),
    most_extra=0,
)


def _lite(table: Table) -> Table:
    # ReLU6 bounds what an 8-bit scale must cover; a gate's product does not quantise well.
    return replace(table, attentions=("none",), activations=("relu6",), fixed_ends=True)


LITE_FULL = replace(
    _lite(FULL),
    widths={0.5: 0.2, 0.75: 0.2, 1.0: 0.2, 1.1: 0.3, 1.2: 0.3, 1.4: 0.3},
    depths=(1.0, 1.2, 1.4, 1.8),
)
LITE_SMALL = _lite(SMALL)


class EfficientNet(nn.Module):
    """Stem, stages of inverted residuals, 1×1 convolution, mean, classifier."""

    def __init__(self, architecture: Mapping[str, Any], image: ImageShape, *, classes: int) -> None:
        super().__init__()
        stem, head = architecture["stem"], architecture["head"]
        self.resize = image.resize()
        self.stem = ConvNorm(
            image.in_channels, stem["width"], 3, stride=2, activation=activation(stem["activation"])
        )
        self.stages = nn.Sequential()
        width = stem["width"]
        for stage in architecture["stages"]:
            self.stages.append(_stage(width, stage))
            width = stage["width"]
        self.last = ConvNorm(width, head["width"], 1, activation=activation(head["activation"]))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(head["dropout"])
        self.classifier = nn.Linear(head["width"], classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.resize(x)  # (B, in_channels, S, S)
        x = self.stem(x)  # (B, stem, S/2, S/2)
        x = self.stages(x)
        x = self.last(x)  # (B, head, S/32, S/32), S/8 in the small preset
        x = self.pool(x).flatten(1)  # (B, head)
        x = self.classifier(self.dropout(x))
        return x


def _stage(width: int, stage: Mapping[str, Any]) -> nn.Sequential:
    blocks = nn.Sequential()
    for index in range(stage["depth"]):
        width_in = stage["width"] if index else width
        shape = InvertedResidualShape(
            width_in=width_in,
            expanded=stage["expansion"] * width_in,
            width=stage["width"],
            kernel=stage["kernel"],
            stride=1 if index else stage["stride"],
            activation=stage["activation"],
            attention=stage["attention"],
            # A quarter of the block's input, not of what it is applied to, as in the authors' code.
            gate=Gate(max(1, int(0.25 * width_in)), stage["activation"], "sigmoid"),
        )
        blocks.append(InvertedResidual(shape))
    return blocks


class EfficientNetSpace(Family[Table]):
    """Width and depth coefficients and resolution; the operators of each stage.

    A stage's operators are kernel, expansion, attention and activation; beside the scaled number
    of its blocks it may have one less or, in the full preset, one more.
    """

    name = "efficientnet"
    tables: ClassVar[Mapping[str, Table]] = {"full": FULL, "small": SMALL}

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Widths are absolute channel counts and depths numbers of blocks, both scaled."""
        table = self.table
        resolution = self.ask_resolution(trial)
        width = choose(trial, "width", table.widths)
        depth = choose(trial, "depth", table.depths)
        return {
            "resolution": resolution,
            "stem": {"width": table.end(table.stem, width), **self._ask_activation(trial, "stem")},
            "stages": [
                {
                    "width": round_to_8(width * stage.width),
                    "depth": table.repeats(index, depth) + self._ask_extra(trial, index),
                    "stride": stage.stride,
                    **self._suggest_operators(trial, index),
                }
                for index, stage in enumerate(table.stages)
            ],
            "head": {
                "width": table.end(table.head, width),
                "dropout": table.widths[width],
                **self._ask_activation(trial, "head"),
            },
        }

    def _suggest_operators(self, trial: Trial, index: int) -> dict[str, Any]:
        table, name = self.table, f"stages.{index}"
        expansions = (1,) if table.stages[index].expansion == 1 else table.expansions
        return {
            "kernel": choose(trial, f"{name}.kernel", table.kernels),
            "expansion": choose(trial, f"{name}.expansion", expansions),
            "attention": choose(trial, f"{name}.attention", table.attentions),
            **self._ask_activation(trial, name),
        }

    def _ask_extra(self, trial: Trial, index: int) -> int:
        extra = self.table.extra(index)
        return extra.ask(trial, f"stages.{index}.extra") if extra.low < extra.high else 0

    def _ask_activation(self, trial: Trial, part: str) -> dict[str, str]:
        return {"activation": choose(trial, f"{part}.activation", self.table.activations)}

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return EfficientNet(architecture, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return 2 * math.prod(stage.stride for stage in self.table.stages)

    def published(self) -> Mapping[str, Published]:
        """B0 to B7, or in the small preset what remains of some of them at 32×32."""
        rows = B_ROWS if self.preset == "full" else B_SMALL_ROWS
        return {name: row.published(self.table) for name, row in rows.items()}

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """torchvision's and timm's, and the authors' by timm."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the names that `pretrained` tells."""
        table = self.table
        coefficients = {row.depth for row in (*B_ROWS.values(), *LITE_ROWS.values())}
        stages = range(len(table.stages))
        depths = [tuple(table.repeats(index, each) for index in stages) for each in coefficients]
        return translate_efficientnet(state, naming, {sum(each): each for each in depths})

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """What spatial attention averages over."""
        return spatially_gated_layers(network)


class EfficientNetLiteSpace(EfficientNetSpace):
    """The same without attention and with ReLU6: coefficients, resolution, kernels, expansions."""

    name = "efficientnet_lite"
    tables: ClassVar[Mapping[str, Table]] = {"full": LITE_FULL, "small": LITE_SMALL}

    def published(self) -> Mapping[str, Published]:
        """Lite0 to Lite4, or in the small preset what remains of some of them at 32×32."""
        rows = LITE_ROWS if self.preset == "full" else LITE_SMALL_ROWS
        return {name: row.published(self.table) for name, row in rows.items()}

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """timm's, and the authors' by a package and by timm."""
        return LITE_PRETRAINED if self.preset == "full" else {}


@dataclass(frozen=True)
class Row:
    """A published member: its coefficients, its image's side and its figures, if any."""

    width: float
    depth: float
    image_size: int
    source: str
    params: int | None = None
    macs: int | None = None
    top1_percent: float | None = None

    def published(self, table: Table) -> Published:
        """The point of `table` with its stages' own operators."""
        figures = (self.params, self.macs, self.top1_percent)
        return Published(self._choices(table), self.image_size, self.source, *figures)

    def _choices(self, table: Table) -> dict[str, Any]:
        choices: dict[str, Any] = {"resolution": 1.0, "width": self.width, "depth": self.depth}
        parts = ["stem", "head"]
        for index, stage in enumerate(table.stages):
            name = f"stages.{index}"
            parts.append(name)
            choices[f"{name}.kernel"] = stage.kernel
            extra = table.extra(index)
            if extra.low < extra.high:
                choices[f"{name}.extra"] = 0
            if stage.expansion > 1:
                choices[f"{name}.expansion"] = stage.expansion
            if len(table.attentions) > 1:
                choices[f"{name}.attention"] = table.attentions[0]
        if len(table.activations) > 1:
            choices |= {f"{part}.activation": table.activations[0] for part in parts}
        return choices


PAPER = "Tan and Le 2019, arXiv:1905.11946"
CODE = f"{PAPER}, table 2; tensorflow/tpu models/official/efficientnet"
LITE = "tensorflow/tpu models/official/efficientnet/lite"
SCALED = "five of the seven stages, narrower and expanded by 4, at 16×16, 8×8, 8×8, 4×4 and 4×4"

B_ROWS = {
    "b7": Row(2.0, 3.1, 600, CODE, 66_347_960, 37_745_884_192, 84.3),
    "b6": Row(1.8, 2.6, 528, CODE, 43_040_704, 19_067_593_536, 84.0),
    "b5": Row(1.6, 2.2, 456, CODE, 30_389_784, 10_266_384_752, 83.6),
    "b4": Row(1.4, 1.8, 380, CODE, 19_341_616, 4_393_771_024, 82.9),
    "b3": Row(1.2, 1.4, 300, CODE, 12_233_232, 1_827_141_392, 81.6),
    "b2": Row(1.1, 1.2, 260, CODE, 9_109_994, 993_561_872, 80.1),
    "b1": Row(1.0, 1.2, 240, CODE, 7_794_184, 686_802_832, 79.1),
    "b0": Row(1.0, 1.0, 224, CODE, 5_288_548, 385_814_752, 77.1),
}
LITE_ROWS = {
    "lite4": Row(1.4, 1.8, 300, LITE, 13_006_568, 2_553_034_336, 81.5),
    "lite3": Row(1.2, 1.4, 280, LITE, 8_197_096, 1_383_321_872, 79.8),
    "lite2": Row(1.1, 1.2, 260, LITE, 6_092_072, 859_736_272, 77.6),
    "lite1": Row(1.0, 1.2, 240, LITE, 5_416_680, 600_185_232, 76.7),
    "lite0": Row(1.0, 1.0, 224, LITE, 4_652_008, 385_187_552, 75.1),
}
B_SMALL_ROWS = {
    "b3-small": Row(1.25, 1.5, 32, f"scaled from {PAPER}: {SCALED}"),
    "b0-small": Row(1.0, 1.0, 32, f"scaled from {PAPER}: {SCALED}"),
    "b0-narrow-small": Row(0.5, 1.0, 32, f"scaled from {PAPER}: {SCALED}; half as wide"),
}
LITE_SMALL_ROWS = {
    "lite3-small": Row(1.25, 1.5, 32, f"scaled from {LITE}: {SCALED}"),
    "lite0-small": Row(1.0, 1.0, 32, f"scaled from {LITE}: {SCALED}"),
    "lite0-narrow-small": Row(0.5, 1.0, 32, f"scaled from {LITE}: {SCALED}; half as wide"),
}
