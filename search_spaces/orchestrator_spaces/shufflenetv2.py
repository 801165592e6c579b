"""ShuffleNetV2 and a space around it.

Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", 2018,
arXiv:1807.11164; official code megvii-model/ShuffleNet-Series. Each unit may be one of the four
of Guo et al., "Single Path One-Shot", 2019, arXiv:1904.00420: kernel 3, 5 or 7, or three
depthwise convolutions ("xception").

Channels are shuffled so that the first 4·m of a wide network do what all 4·m of a narrow one do:
split by pairs (0, 1 | 2, 3 | …) and interleave. Up to the order of channels that is the published
network, and weights can be shared between widths.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import Published, SearchSpace, Trial
from orchestrator.errors import BuildError
from orchestrator_spaces.blocks.convolution import ConvNorm
from orchestrator_spaces.blocks.questions import Range

__all__ = ["ShuffleNetV2", "ShuffleNetV2Space"]

KINDS = ("kernel3", "kernel5", "kernel7", "xception")


@dataclass(frozen=True)
class Table:
    """What a preset may be. A later stage's width is the one before times a growth."""

    strides: tuple[int, ...]
    stem_pool: bool
    stem_width: Range
    first_width: Range
    growths: tuple[float, ...]
    depths: tuple[Range, ...]
    kinds: tuple[str, ...]
    middle_ratios: tuple[float, ...]
    head_widths: tuple[int, ...]
    variants: bool


FULL = Table(
    strides=(2, 2, 2),
    stem_pool=True,
    stem_width=Range(16, 24, 8),
    first_width=Range(48, 248, 4),
    growths=(1.5, 1.75, 2.0, 2.25, 2.5),
    depths=(Range(2, 6), Range(4, 10), Range(2, 6)),
    kinds=KINDS,
    middle_ratios=(0.5, 1.0, 1.5),
    head_widths=(512, 1024, 1536, 2048),
    variants=True,
)

# 32×32 in: 16×16 after the stem, which is not pooled, then 8×8, 8×8 and 4×4.
SMALL = Table(
    strides=(2, 1, 2),
    stem_pool=False,
    stem_width=Range(8, 16, 8),
    first_width=Range(16, 48, 16),
    growths=(1.5, 2.0, 2.5),
    depths=(Range(1, 3), Range(1, 4), Range(1, 3)),
    kinds=KINDS,
    middle_ratios=(0.5, 1.0, 1.5),
    head_widths=(128, 192, 256),
    variants=False,
)


class Split(nn.Module):
    """Halves by pairs of channels: (0, 1, 4, 5, …) and (2, 3, 6, 7, …)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) → twice (B, C/2, H, W); C is a multiple of 4."""
        quads = x.unflatten(1, (-1, 4))  # type: ignore[no-untyped-call]  # (B, C/4, 4, H, W)
        return quads[:, :, :2].flatten(1, 2), quads[:, :, 2:].flatten(1, 2)


class Merge(nn.Module):
    """Interleave channels as far as the narrower input reaches; the wider one's rest follows."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, C1, H, W) and (B, C2, H, W) → (B, C1 + C2, H, W)."""
        both = min(first.shape[1], second.shape[1])
        merged = torch.stack((first[:, :both], second[:, :both]), dim=2).flatten(1, 2)
        if first.shape[1] == second.shape[1]:
            return merged
        rest = first if first.shape[1] > both else second
        return torch.cat((merged, rest[:, both:]), dim=1)


class Unit(nn.Module):
    """Half of the channels pass, the other half goes through the branch."""

    def __init__(self, width: int, middle: int, kind: str) -> None:
        super().__init__()
        self.split = Split()
        half = width // 2
        self.branch = _branch(BranchShape(half, middle, half, kind, stride=1))
        self.merge = Merge()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        passed, changed = self.split(x)
        return self.merge(passed, self.branch(changed))  # type: ignore[no-any-return]


class EntryUnit(nn.Module):
    """The first unit of a stage: both paths see the whole input, and the width changes."""

    def __init__(self, shape: BranchShape, shortcut: int) -> None:
        super().__init__()
        kernel, width = _kernel(shape.kind), shape.width_in
        self.shortcut = nn.Sequential(
            ConvNorm(width, width, kernel, stride=shape.stride, groups=width),
            ConvNorm(width, shortcut, 1, activation=nn.ReLU(inplace=True)),
        )
        self.branch = _branch(shape)
        self.merge = Merge()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H/stride, W/stride)."""
        return self.merge(self.shortcut(x), self.branch(x))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """An entry unit and then units that keep the width."""

    def __init__(self, width_in: int, architecture: Mapping[str, Any], stride: int) -> None:
        super().__init__()
        width, middle = architecture["width"], architecture["middle"]
        shortcut = architecture["shortcut"]
        first, *others = architecture["kinds"]
        shape = BranchShape(width_in, middle, width - shortcut, first, stride=stride)
        self.entry = EntryUnit(shape, shortcut)
        self.units = nn.Sequential(*(Unit(width, middle, kind) for kind in others))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H/stride, W/stride)."""
        return self.units(self.entry(x))  # type: ignore[no-any-return]


class ShuffleNetV2(nn.Module):
    """Stem, three stages, 1×1 convolution, mean, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, *, classes: int, in_channels: int
    ) -> None:
        super().__init__()
        width, head = architecture["stem"], architecture["head"]
        self.stem = ConvNorm(in_channels, width, 3, stride=2, activation=nn.ReLU(inplace=True))
        self.stem_pool = nn.MaxPool2d(3, 2, 1) if table.stem_pool else nn.Identity()
        self.stages = nn.Sequential()
        for stage, stride in zip(architecture["stages"], table.strides, strict=True):
            self.stages.append(Stage(width, stage, stride))
            width = stage["width"]
        self.last = ConvNorm(width, head, 1, activation=nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head, classes, bias=architecture["classifier_bias"])

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.stem_pool(self.stem(x))  # (B, stem, H/4, W/4); H/2 in the small preset
        x = self.stages(x)  # (B, C3, H/32, W/32); H/8 in the small preset
        x = self.pool(self.last(x)).flatten(1)  # (B, head)
        return self.classifier(x)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class BranchShape:
    """Channels in, in the middle and out; `kind` is one of `KINDS`."""

    width_in: int
    middle: int
    width: int
    kind: str
    stride: int


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


class ShuffleNetV2Space(SearchSpace):
    """Kind of each unit; depth, width and middle width of each stage; width of stem and head.

    In the full preset also what sets the official networks and torchvision's apart: whether the
    shortcut of a stage's first unit keeps its input's width or gives half of the output, and
    whether the classifier has a bias.
    """

    name = "shufflenetv2"

    def __init__(self, *, preset: str = "small") -> None:
        super().__init__(preset=preset)
        self.table = {"full": FULL, "small": SMALL}[preset]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Widths are absolute channel counts; a stage's `shortcut` is part of its width."""
        table = self.table
        stem = table.stem_width.ask(trial, "stem.width")
        widths = self._suggest_widths(trial)
        shortcuts = self._suggest_shortcuts(trial, [stem, *widths])
        stages = [
            {"width": width, "shortcut": shortcut, **self._suggest_units(trial, index, width)}
            for index, (width, shortcut) in enumerate(zip(widths, shortcuts, strict=True))
        ]
        bias = not table.variants or trial.suggest_categorical("classifier_bias", [False, True])
        head = trial.suggest_categorical("head.width", list(table.head_widths))
        return {"stem": stem, "stages": stages, "head": head, "classifier_bias": bias}

    def _suggest_widths(self, trial: Trial) -> list[int]:
        widths = [self.table.first_width.ask(trial, "stages.0.width")]
        for index in range(1, len(self.table.strides)):
            name = f"stages.{index}.growth"
            growth = trial.suggest_categorical(name, list(self.table.growths))
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
        name, kinds = f"stages.{index}", list(self.table.kinds)
        depth = self.table.depths[index].ask(trial, f"{name}.depth")
        ratios = list(self.table.middle_ratios)
        return {
            "middle": int(width / 2 * trial.suggest_categorical(f"{name}.middle_ratio", ratios)),
            "kinds": [
                trial.suggest_categorical(f"{name}.units.{unit}.kind", kinds)
                for unit in range(depth)
            ],
        }

    def build(
        self, architecture: Mapping[str, Any], *, classes: int, in_channels: int, image_size: int
    ) -> nn.Module:
        """Raises BuildError for images smaller than the network's total stride."""
        total = 4 if self.table.stem_pool else 2
        for stride in self.table.strides:
            total *= stride
        if image_size < total:
            raise BuildError(f"images of {image_size} px found, at least {total} px expected.")
        return ShuffleNetV2(architecture, self.table, classes=classes, in_channels=in_channels)

    def published(self) -> Mapping[str, Published]:
        """The official networks and torchvision's, or what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The convolutions whose outputs are interleaved and split; middle widths are free."""
        ends = [unit.branch for unit in network.modules() if isinstance(unit, (Unit, EntryUnit))]
        ends += [unit.shortcut for unit in network.modules() if isinstance(unit, EntryUnit)]
        return [_last_convolution(end) for end in ends]


def _last_convolution(branch: nn.Module) -> nn.Module:
    return [module for module in branch.modules() if isinstance(module, nn.Conv2d)][-1]


PAPER = "Ma et al. 2018, arXiv:1807.11164"


def _published_full() -> dict[str, Published]:
    official = f"{PAPER}; megvii-model/ShuffleNet-Series"
    vision = f"{PAPER}; torchvision's form and weights"
    half = {"shortcut": "half_output", "classifier_bias": True}
    x05 = _choices(48, 1024)
    # 24 → 48 → 96 → 192: half of the output is the input's width, so that nothing is to choose.
    del x05["shortcut"]
    x10, x15, x20 = _choices(116, 1024), _choices(176, 1024), _choices(244, 2048)
    bias = {"classifier_bias": True}
    return {
        "2.0x": Published(x20, 224, official, 7_402_600, 590_783_000, 74.9),
        "1.5x": Published(x15, 224, official, 3_506_720, 298_970_656, 72.6),
        "1.0x": Published(x10, 224, official, 2_278_760, 145_814_296, 69.4),
        "0.5x": Published(x05, 224, official, 1_365_792, 40_476_448, 60.3),
        "2.0x-torchvision": Published(x20 | half, 224, vision, 7_393_996, 583_253_464, 76.23),
        "1.5x-torchvision": Published(x15 | half, 224, vision, 3_503_624, 295_759_392, 72.996),
        "1.0x-torchvision": Published(x10 | half, 224, vision, 2_278_604, 144_907_992, 69.362),
        "0.5x-torchvision": Published(x05 | bias, 224, vision, 1_366_792, 40_476_448, 60.552),
    }


def _choices(width: int, head: int) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "stem.width": 24,
        "stages.0.width": width,
        "stages.1.growth": 2.0,
        "stages.2.growth": 2.0,
        "shortcut": "keep_input",
        "classifier_bias": False,
        "head.width": head,
    }
    return choices | _kernel3((4, 8, 4))


def _kernel3(depths: tuple[int, ...]) -> dict[str, Any]:
    choices: dict[str, Any] = {}
    for index, depth in enumerate(depths):
        choices[f"stages.{index}.depth"] = depth
        choices[f"stages.{index}.middle_ratio"] = 1.0
        for unit in range(depth):
            choices[f"stages.{index}.units.{unit}.kind"] = "kernel3"
    return choices


def _published_small() -> dict[str, Published]:
    source = (
        f"scaled from {PAPER}: half of the depth, narrower, stages at 8×8, 8×8 and 4×4, "
        "torchvision's form"
    )
    return {
        name: Published(_small_choices(*numbers), 32, source)
        for name, numbers in {
            "1.5x-small": (48, 256, (2, 4, 2)),
            "1.0x-small": (32, 192, (2, 4, 2)),
            "0.5x-small": (16, 128, (2, 4, 2)),
        }.items()
    }


def _small_choices(width: int, head: int, depths: tuple[int, ...]) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "stem.width": 16,
        "stages.0.width": width,
        "stages.1.growth": 2.0,
        "stages.2.growth": 2.0,
        "head.width": head,
    }
    return choices | _kernel3(depths)
