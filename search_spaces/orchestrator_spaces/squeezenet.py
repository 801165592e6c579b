"""SqueezeNet and a space around it.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
size", 2016, arXiv:1602.07360, with the simple bypass of its section 6; the authors' code
(forresti/SqueezeNet), which brought SqueezeNet 1.1. As in the paper's exploration, squeeze ratio
and share of 3×3 filters are free, here stage by stage, a stage being what lies between two
pools; the width of each fire module is free too. Caffe pads the last 1×1 convolution of 1.0 by 1,
which only widens the map it averages over; here, as in torchvision, it has no padding. Batch norm
after every convolution is an addition: a choice in the full preset and always there in the small
one, whose few epochs at a high learning rate are too rough for a network without norms. Where
there are norms, logits are not activated: a ReLU there can silence a class for good.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from orchestrator import Checkpoint, Published, Trial, outlined
from orchestrator_spaces.blocks.convolution import activation
from orchestrator_spaces.blocks.fire import Fire, FireShape, JoinedConv, MapsPool, activated, draw
from orchestrator_spaces.blocks.members import scaled
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.family import Family
from orchestrator_spaces.squeezenet_pretrained import PRETRAINED, translate_squeezenet

__all__ = ["SqueezeNet", "SqueezeNetSpace"]


@dataclass(frozen=True)
class StageTable:
    """What one stage may be. `expand` is the sum of a fire module's two expanded widths."""

    expand: Range
    depth: Range


@dataclass(frozen=True)
class Table:
    """What a preset may be. Every stage begins with a pool of stride 2.

    The squeezed width is the expanded one times a squeeze ratio, the 3×3 filters are a share of
    the expanded width. Batch norms are there unless they are optional.
    """

    stem_width: Range
    stem_stride: int
    stem_kernels: tuple[int, ...]
    stages: tuple[StageTable, ...]
    squeeze_ratios: tuple[float, ...]
    shares3: tuple[float, ...]
    activations: tuple[str, ...]
    optional_norm: bool
    dropout: float


FULL = Table(
    stem_width=Range(32, 128, 32),
    stem_stride=2,
    stem_kernels=(3, 5, 7),
    stages=(
        StageTable(Range(64, 384, 64), Range(1, 4)),
        StageTable(Range(128, 512, 64), Range(1, 5)),
        StageTable(Range(256, 768, 64), Range(1, 5)),
    ),
    squeeze_ratios=(0.125, 0.25, 0.5, 0.75),
    shares3=(0.25, 0.5, 0.75),
    activations=("relu", "hardswish", "silu"),
    optional_norm=True,
    dropout=0.5,
)

# 32×32 in: 30×30 after the stem, then 15×15 and 7×7.
SMALL = Table(
    stem_width=Range(16, 32, 16),
    stem_stride=1,
    stem_kernels=(3, 5),
    stages=(
        StageTable(Range(32, 64, 16), Range(1, 2)),
        StageTable(Range(48, 128, 16), Range(1, 4)),
    ),
    squeeze_ratios=(0.125, 0.25, 0.375),
    shares3=(0.25, 0.5, 0.75),
    activations=("relu", "hardswish", "silu"),
    optional_norm=False,
    dropout=0.0,
)

TABLES = {"full": FULL, "small": SMALL}


class SqueezeNet(nn.Module):
    """Stem, stages of fire modules, a 1×1 convolution as the classifier, mean.

    Without norms, logits are means of activations and so, with ReLU, never negative.
    """

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        stem, act = architecture["stem"], architecture["activation"]
        self.resize = image.resize()
        self.stem = _stem(image.in_channels, architecture, stride=table.stem_stride)
        self.stages = nn.Sequential()
        widths: tuple[int, ...] = (stem["width"],)
        for fires in architecture["stages"]:
            self.stages.append(Stage(_shapes(widths, fires, architecture)))
            widths = _widths(fires[-1])
        self.dropout = nn.Dropout(table.dropout)
        self.classifier = JoinedConv(widths, classes)
        self.activation = nn.Identity() if architecture["norm"] else activation(act)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, image_size, image_size) → (B, classes)."""
        x = self.resize(x)  # (B, in_channels, H, W)
        x = self.stem(x)  # (B, stem, H/2, W/2); H in the small preset
        maps = self.stages((x,))  # 1×1 and 3×3 filters: twice (B, C_i, H/16, W/16); H/4
        x = self.classifier(tuple(self.dropout(each) for each in maps))
        x = self.activation(x)  # (B, classes, H/16, W/16); H/4
        x = self.pool(x).flatten(1)
        return x


@outlined
class Stage(nn.Module):
    """A pool, then fire modules."""

    def __init__(self, shapes: Sequence[FireShape]) -> None:
        super().__init__()
        self.pool = MapsPool()
        self.fires = nn.Sequential(*(Fire(shape) for shape in shapes))

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps (B, C_i, H, W) → two (B, C_i, ⌈(H - 1)/2⌉, ⌈(W - 1)/2⌉)."""
        maps = self.fires(self.pool(maps))
        return maps


def _stem(in_channels: int, architecture: Mapping[str, Any], *, stride: int) -> nn.Sequential:
    width, kernel = architecture["stem"]["width"], architecture["stem"]["kernel"]
    conv = nn.Conv2d(in_channels, width, kernel, stride, bias=not architecture["norm"])
    draw(conv, fan_in=in_channels * kernel**2)
    return activated(conv, width, architecture["activation"], architecture["norm"])


def _shapes(
    widths_in: tuple[int, ...], fires: Sequence[Mapping[str, int]], architecture: Mapping[str, Any]
) -> list[FireShape]:
    """A fire that keeps both widths has the bypass, if the network has any."""
    shapes = []
    for fire in fires:
        shape = FireShape(
            widths_in,
            **fire,
            activation=architecture["activation"],
            norm=architecture["norm"],
            bypass=architecture["bypass"] and widths_in == _widths(fire),
        )
        shapes.append(shape)
        widths_in = _widths(fire)
    return shapes


def _widths(fire: Mapping[str, int]) -> tuple[int, ...]:
    return (fire["expand1"], fire["expand3"])


class SqueezeNetSpace(Family[Table]):
    """Width of each fire; squeeze ratio, share of 3×3 filters and depth of each stage; bypass.

    In the full preset also whether there are batch norms.
    """

    name = "squeezenet"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Widths are absolute channel counts, for each fire squeeze, expand1 and expand3."""
        table = self.table
        resolution = self.ask_resolution(trial)
        stem = {
            "width": table.stem_width.ask(trial, "stem.width"),
            "kernel": choose(trial, "stem.kernel", table.stem_kernels),
        }
        stages = [self._suggest_stage(trial, index) for index in range(len(table.stages))]
        fires = [_widths(fire) for stage in stages for fire in stage]
        keeps = any(before == after for before, after in itertools.pairwise(fires))
        return {
            "resolution": resolution,
            "activation": choose(trial, "activation", table.activations),
            "norm": not table.optional_norm or trial.suggest_categorical("norm", [False, True]),
            "stem": stem,
            "stages": stages,
            "bypass": keeps and trial.suggest_categorical("bypass", [False, True]),
        }

    def _suggest_stage(self, trial: Trial, index: int) -> list[dict[str, int]]:
        table, name = self.table.stages[index], f"stages.{index}"
        ratios, shares = list(self.table.squeeze_ratios), list(self.table.shares3)
        ratio = trial.suggest_categorical(f"{name}.squeeze_ratio", ratios)
        share = trial.suggest_categorical(f"{name}.share3", shares)
        fires = []
        for fire in range(table.depth.ask(trial, f"{name}.depth")):
            expand = table.expand.ask(trial, f"{name}.fires.{fire}.expand")
            expand3 = int(share * expand)
            squeeze = int(ratio * expand)
            fires.append({"squeeze": squeeze, "expand1": expand - expand3, "expand3": expand3})
        return fires

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return SqueezeNet(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Of less, stem and pools leave nothing."""
        # A pool makes n places of 2·n; the stem has no padding.
        left: int = 2 ** len(self.table.stages)
        kernel: int = architecture["stem"]["kernel"]
        return (left - 1) * self.table.stem_stride + kernel

    def published(self) -> Mapping[str, Published]:
        """SqueezeNet 1.0 and 1.1, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """torchvision's."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the names that `pretrained` tells."""
        return translate_squeezenet(state, naming)


PAPER = "Iandola et al. 2016, arXiv:1602.07360"


def _published_full() -> dict[str, Published]:
    plain = {"norm": False}
    v10 = plain | _choices(((128, 128, 256), (256, 384, 384, 512), (512,)), stem=(96, 7))
    v11 = plain | _choices(((128, 128), (256, 256), (384, 384, 512, 512)), stem=(64, 3))
    simple = v10 | {"bypass": True}
    code, residual = f"{PAPER}; forresti/SqueezeNet", f"{PAPER}; songhan/SqueezeNet-Residual"
    return {
        "1.0": Published(v10, 224, code, 1_248_424, 818_924_576, 57.5),
        "1.0-227": Published(v10, 227, code, 1_248_424, 832_667_936, 57.5),
        "1.0-bypass": Published(simple, 227, residual, 1_248_424, 832_667_936, 60.4),
        "1.1": Published(v11, 224, code, 1_235_496, 349_151_936, 58.2),
    }


def _published_small() -> dict[str, Published]:
    how = (
        "stem without stride, two stages at 15×15 and 7×7, narrower, squeeze ratio 0.25, batch norm"
    )
    wide, narrow = ((64, 64), (96, 96, 128, 128)), ((48, 48), (64, 64, 96, 96))
    v10 = _choices(wide, stem=(32, 5), ratio=0.25)
    v11 = _choices(narrow, stem=(16, 3), ratio=0.25)
    points = {
        "1.0": v10,
        "1.0-bypass": v10 | {"bypass": True},
        "1.1": v11,
        "1.1-bypass": v11 | {"bypass": True},
    }
    return scaled(PAPER, how, points)


def _choices(
    stages: tuple[tuple[int, ...], ...], *, stem: tuple[int, int], ratio: float = 0.125
) -> dict[str, Any]:
    """`stages` holds the expanded width of each fire, `stem` its width and its kernel."""
    choices: dict[str, Any] = {
        "resolution": 1.0,
        "activation": "relu",
        "bypass": False,
        "stem.width": stem[0],
        "stem.kernel": stem[1],
    }
    for index, fires in enumerate(stages):
        name = f"stages.{index}"
        choices |= {f"{name}.squeeze_ratio": ratio, f"{name}.share3": 0.5}
        choices |= {f"{name}.depth": len(fires)}
        choices |= {f"{name}.fires.{fire}.expand": width for fire, width in enumerate(fires)}
    return choices
