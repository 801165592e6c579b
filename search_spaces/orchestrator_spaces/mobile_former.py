"""Mobile-Former and a space around it.

Chen et al., "Mobile-Former: Bridging MobileNet and Transformer", 2021, arXiv:2108.05895; layers
as in the code at AAboys/MobileFormer. A convolutional network and a few learned tokens run side
by side and look at each other; the tokens set the slopes of the network's ReLUs. Searched are
number and width of the tokens, width, expansions and depth of each stage, and for each stage
whether its ReLUs are dynamic and which way its bridge goes; the groups of the 1×1 convolutions
(26M is 52M with four groups) and whether channels are shuffled after every one, or where the
authors do; the head and the resolution.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import Part, Published, Trial, outlined, segments
from orchestrator_spaces.blocks.bridge import Former, FormerToMobile, MobileToFormer
from orchestrator_spaces.blocks.convolution import ConvNorm
from orchestrator_spaces.blocks.dynamic_relu import DynamicReLU
from orchestrator_spaces.blocks.grouped_pointwise import pointwise
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.family import Family
from orchestrator_spaces.mobile_former_naming import translate_mobile_former
from orchestrator_spaces.mobile_former_published import published_full, published_small

__all__ = ["MobileFormer", "MobileFormerSpace"]

# Which of the two streams hears the other.
BRIDGES = ("both", "to_former", "to_mobile")


@dataclass(frozen=True)
class StageTable:
    """What a stage may be: an entry block with the stride, then `depth` blocks that keep the size.

    `inner` are the entry's second expansions, 0 for an entry without tokens; none at all means
    that there is no entry. An optional stage may be left out.
    """

    stride: int
    width: Range
    depth: Range
    inner: tuple[int, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """What a preset may be. The stem has a stride of 2."""

    stages: tuple[StageTable, ...]
    stem_width: Range
    expansions: tuple[int, ...]
    tokens: Range
    token_widths: tuple[int, ...]
    groups: tuple[int, ...]
    head_ratios: tuple[int, ...]
    hidden: tuple[int, ...]
    dropout: float


FULL = Table(
    stages=(
        StageTable(1, Range(8, 24, 4), Range(0, 0), inner=(0,), optional=True),
        StageTable(2, Range(8, 40, 4), Range(0, 2), inner=(0, 2, 4)),
        StageTable(2, Range(16, 72, 8), Range(0, 2), inner=(0, 2, 4)),
        StageTable(2, Range(48, 128, 16), Range(0, 2), inner=(0, 2, 4)),
        StageTable(1, Range(48, 176, 8), Range(0, 3)),
        StageTable(2, Range(64, 240, 16), Range(0, 3), inner=(0, 2, 4)),
    ),
    stem_width=Range(8, 24, 4),
    expansions=(2, 3, 4, 6),
    tokens=Range(2, 6),
    token_widths=(64, 128, 192),
    groups=(1, 4),
    head_ratios=(2, 4, 6),
    hidden=(640, 1024, 1280, 1600, 1920),
    dropout=0.2,
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 4×4 and 4×4.
SMALL = Table(
    stages=(
        StageTable(1, Range(8, 16, 4), Range(0, 1), inner=(0,)),
        StageTable(2, Range(16, 32, 8), Range(0, 2), inner=(0, 2, 4)),
        StageTable(2, Range(24, 64, 8), Range(0, 2), inner=(0, 2, 4)),
        StageTable(1, Range(32, 80, 16), Range(0, 2)),
    ),
    stem_width=Range(8, 16, 4),
    expansions=(2, 3, 4, 6),
    tokens=Range(2, 6),
    token_widths=(32, 48, 64),
    groups=(1, 4),
    head_ratios=(2, 4, 6),
    hidden=(64, 128, 256),
    dropout=0.0,
)

TABLES = {"full": FULL, "small": SMALL}


@dataclass(frozen=True)
class Style:
    """What the blocks of a stage share; a token width of 0 means ReLU6 instead of dynamic ReLU.

    `published`: channels are shuffled where the authors do, else after every grouped 1×1.
    """

    groups: int
    driver: int = 0
    published: bool = False

    def activation(self, width: int) -> nn.Module:
        """For a map of `width` channels."""
        return DynamicReLU(width, self.driver) if self.driver else nn.ReLU6(inplace=True)

    def pointwise(
        self, width_in: int, width: int, shuffle: str, activation: nn.Module | None = None
    ) -> nn.Sequential:
        """A 1×1 convolution, whose `shuffle` is the authors'."""
        shuffle = shuffle if self.published else "turned"
        return pointwise(width_in, width, self.groups, activation=activation, shuffle=shuffle)


def _activate(activation: nn.Module, x: Tensor, tokens: Tensor) -> Tensor:
    """A dynamic ReLU follows the first token."""
    if isinstance(activation, DynamicReLU):
        x = activation(x, tokens[:, 0])
        return x
    x = activation(x)
    return x


@outlined
class Expanding(nn.Module):
    """Depthwise 3×3 with `factor` outputs for each input, activation, 1×1 without activation.

    What an expanded channel means depends on the factor, so the layers are named by it.
    """

    def __init__(
        self, widths: tuple[int, int], factor: int, style: Style, *, stride: int = 1
    ) -> None:
        super().__init__()
        width_in, width = widths
        expanded = factor * width_in
        layers = {
            "depthwise": ConvNorm(width_in, expanded, 3, stride=stride, groups=width_in),
            "activation": style.activation(expanded),
            "project": style.pointwise(expanded, width, "none"),
        }
        self.layers = nn.ModuleDict({f"factor{factor}": nn.ModuleDict(layers)})

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, ⌈H/stride⌉, ⌈W/stride⌉)."""
        depthwise, activation, project = _named(self.layers)
        x = project(_activate(activation, depthwise(x), tokens))
        return x


def _named(layers: nn.ModuleDict) -> Iterator[nn.Module]:
    """The layers of the one factor there is."""
    (chain,) = layers.values()
    yield from chain.children()


@outlined
class Lite(nn.Module):
    """An entry block that neither hears nor is heard by the tokens."""

    def __init__(self, widths: tuple[int, int], factor: int, style: Style, stride: int) -> None:
        super().__init__()
        self.residual = stride == 1 and widths[0] == widths[1]
        self.expanding = Expanding(widths, factor, replace(style, driver=0), stride=stride)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C_in, H, W) → (B, C, ⌈H/stride⌉, ⌈W/stride⌉); the tokens as they are."""
        changed = self.expanding(x, tokens)
        return x + changed if self.residual else changed, tokens


@outlined
class Entry(nn.Module):
    """The mobile half of an entry block: two expanding convolutions, a residual on the second."""

    def __init__(self, widths: tuple[int, int], stage: Mapping[str, Any], style: Style) -> None:
        super().__init__()
        width = widths[1]
        self.down = Expanding(widths, stage["entry"], style, stride=stage["stride"])
        self.inner = Expanding((width, width), stage["inner"], style)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, ⌈H/stride⌉, ⌈W/stride⌉)."""
        x = self.down(x, tokens)
        x = x + self.inner(x, tokens)
        return x


@outlined
class Inverted(nn.Module):
    """The mobile half of other blocks: 1×1, depthwise 3×3, 1×1, a residual where widths agree."""

    def __init__(self, widths: tuple[int, int], expansion: int, style: Style) -> None:
        super().__init__()
        width_in, width = widths
        expanded = expansion * width_in
        self.residual = width_in == width
        self.expand = style.pointwise(width_in, expanded, "after")
        self.expand_activation = style.activation(expanded)
        self.depthwise = ConvNorm(expanded, expanded, 3, groups=expanded)
        self.activation = style.activation(expanded)
        self.project = style.pointwise(expanded, width, "after")

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, H, W)."""
        changed = _activate(self.expand_activation, self.expand(x), tokens)
        changed = _activate(self.activation, self.depthwise(changed), tokens)
        changed = self.project(changed)
        x = x + changed if self.residual else changed
        return x


@outlined
class Block(nn.Module):
    """Tokens look at the map and at each other, the map changes, and it looks at the tokens."""

    def __init__(
        self, mobile: nn.Module, widths: tuple[int, int], token_width: int, *, bridge: str
    ) -> None:
        super().__init__()
        if bridge != "to_mobile":
            self.to_former = MobileToFormer(widths[0], token_width)
        self.former = Former(token_width)
        self.mobile = mobile
        if bridge != "to_former":
            self.to_mobile = FormerToMobile(widths[1], token_width)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C_in, H, W) and (B or 1, T, d) → (B, C, H', W') and the same for the tokens."""
        if hasattr(self, "to_former"):
            tokens = self.to_former(x, tokens)
        tokens = self.former(tokens)
        x = self.mobile(x, tokens)
        if hasattr(self, "to_mobile"):
            x = self.to_mobile(x, tokens)
        return x, tokens


@outlined
class Stage(nn.Module):
    """An entry, if any, and blocks that keep the size."""

    def __init__(
        self, stage: Mapping[str, Any] | None, width_in: int, token_width: int, *, style: Style
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        if stage is None:
            return
        width, bridge = stage["width"], stage["bridge"]
        style = replace(style, driver=token_width if stage["dynamic_relu"] else 0)
        widths = width_in, width
        if stage["entry"] and not stage["inner"]:
            self.lite = Lite(widths, stage["entry"], style, stage["stride"])
        elif stage["entry"]:
            self.entry = Block(Entry(widths, stage, style), widths, token_width, bridge=bridge)
        for index in range(stage["depth"]):
            widths = width if index or stage["entry"] else width_in, width
            mobile = Inverted(widths, stage["expansion"], style)
            self.blocks.append(Block(mobile, widths, token_width, bridge=bridge))

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C_in, H, W) and (B or 1, T, d) → (B, C, ⌈H/stride⌉, ⌈W/stride⌉) and tokens."""
        for name in ("lite", "entry"):
            if hasattr(self, name):
                x, tokens = getattr(self, name)(x, tokens)
        for block in self.blocks:
            x, tokens = block(x, tokens)
        return x, tokens


class MobileFormer(nn.Module):
    """Stem and tokens, stages, a last look of the tokens, mean and first token, classifier.

    Until tokens have looked at a map they are the same for all images, a batch of 1.
    """

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        width = architecture["stem"]
        style = Style(architecture["groups"], published=architecture.get("shuffle") == "published")
        count, token_width = architecture["tokens"]
        self.resize = image.resize()
        self.tokens = nn.Parameter(torch.randn(1, count, token_width))
        self.stem = ConvNorm(
            image.in_channels, width, 3, stride=2, activation=nn.ReLU6(inplace=True)
        )
        self.stages = nn.ModuleList()
        for stage in architecture["stages"]:
            self.stages.append(Stage(stage, width, token_width, style=style))
            width = stage["width"] if stage else width
        self.last_look = MobileToFormer(width, token_width)
        ratio, hidden = architecture["head"]
        self.last = style.pointwise(width, ratio * width, "before", nn.ReLU6(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.activation = nn.Hardswish()
        # One layer on the concatenation, in two so that neither part's width moves the other.
        self.hidden = nn.Linear(ratio * width, hidden)
        self.hidden_token = nn.Linear(token_width, hidden, bias=False)
        self.norm = nn.BatchNorm1d(hidden)
        self.dropout = nn.Dropout(table.dropout)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x, tokens = self.stem(self.resize(x)), self.tokens  # (B, stem, H/2, W/2), (1, T, d)
        for stage in self.stages:
            x, tokens = stage(x, tokens)
        # (B, C, H/32, W/32), H/8 in the small preset
        token = self.last_look(x, tokens)[:, 0]  # (B, d)
        x = self.activation(self.pool(self.last(x)).flatten(1))  # (B, ratio · C)
        x = self.norm(self.hidden(x) + self.hidden_token(token))  # (B, hidden)
        x = self.classifier(self.dropout(self.activation(x)))
        return x


class MobileFormerSpace(Family[Table]):
    """Tokens, widths, expansions, depths, dynamic ReLU, bridges, groups, head, resolution."""

    name = "mobile_former"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """A stage that is left out is None; `tokens` and `head` are pairs of numbers.

        `shuffle` is there where grouped convolutions are shuffled as published.
        """
        table = self.table
        tokens = table.tokens.ask(trial, "tokens.count")
        resolution = self.ask_resolution(trial)
        groups = choose(trial, "groups", table.groups)
        published = groups > 1 and choose(trial, "shuffle", ("every", "published")) == "published"
        return {
            "resolution": resolution,
            "groups": groups,
            **({"shuffle": "published"} if published else {}),
            "tokens": [tokens, choose(trial, "tokens.width", table.token_widths)],
            "stem": table.stem_width.ask(trial, "stem.width"),
            "stages": [self._suggest_stage(trial, index) for index in range(len(table.stages))],
            "head": [
                choose(trial, "head.ratio", table.head_ratios),
                choose(trial, "head.hidden", table.hidden),
            ],
        }

    def _suggest_stage(self, trial: Trial, index: int) -> dict[str, Any] | None:
        table, name = self.table.stages[index], f"stages.{index}"
        if table.optional and not choose(trial, f"{name}.present", [False, True]):
            return None
        depth = table.depth.ask(trial, f"{name}.depth")
        if not table.inner and not depth:
            return None
        expansions = list(self.table.expansions)
        inner = choose(trial, f"{name}.inner", table.inner) if table.inner else 0
        hears = bool(depth or inner)
        return {
            "stride": table.stride,
            "width": table.width.ask(trial, f"{name}.width"),
            "entry": choose(trial, f"{name}.entry", expansions) if table.inner else 0,
            "inner": inner,
            "depth": depth,
            "expansion": choose(trial, f"{name}.expansion", expansions) if depth else 0,
            "dynamic_relu": hears and choose(trial, f"{name}.dynamic_relu", [False, True]),
            "bridge": choose(trial, f"{name}.bridge", BRIDGES) if hears else "none",
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return MobileFormer(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return 2 * prod(stage.stride for stage in self.table.stages)

    def published(self) -> Mapping[str, Published]:
        """508M to 26M, or in the small preset what remains of three of them at 32×32."""
        return published_full() if self.preset == "full" else published_small()

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the authors' names, which no listed checkpoint has."""
        return translate_mobile_former(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """What decides the widths of map and tokens, which heads divide, and all grouped layers."""
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and not _is_depthwise(module) and module.groups > 1:
                yield module  # expanding, or in groups
            elif isinstance(module, (Expanding, Inverted)):
                yield from _convolutions(_project(module))
            elif isinstance(module, MobileFormer):
                yield from _convolutions(module.stem)
            elif isinstance(module, MobileToFormer):
                yield from (module.query, module.gate, module.project)
            elif isinstance(module, Former):
                yield from (module.query, module.project, module.mlp[-1])
            elif isinstance(module, FormerToMobile):
                yield from (module.key, module.value)

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[Part, ...] | None:
        """A narrower grouped convolution has the first outputs of each group."""
        if match := re.search(r"\.groups(\d+)(?:_[a-z]+)?\.conv\.weight$", name):
            out = segments(full[0], wanted[0], int(match[1]))
            return (out, *(slice(size) for size in wanted[1:]))
        return None


def _project(block: Expanding | Inverted) -> nn.Module:
    if isinstance(block, Inverted):
        return block.project
    *_, project = _named(block.layers)
    return project


def _is_depthwise(convolution: nn.Conv2d) -> bool:
    return convolution.groups == convolution.out_channels


def _convolutions(module: nn.Module) -> Iterator[nn.Module]:
    return (each for each in module.modules() if isinstance(each, nn.Conv2d))
