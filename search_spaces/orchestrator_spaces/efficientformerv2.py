"""EfficientFormerV2 and a space around it.

Li et al., "Rethinking Vision Transformers for MobileNet Size and Speed", 2022, arXiv:2212.08059,
and the authors' code (snap-research/EfficientFormer). The space is that of the paper's
fine-grained joint search: width and depth of each stage, and the expansion of each block's
feed-forward network; in the last two stages, how many blocks begin with attention. Added: the
number of heads and the resolution.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import Checkpoint, Published, Trial, outlined
from orchestrator_spaces.blocks.attention_bias import AttentionBias
from orchestrator_spaces.blocks.convolution import ConvNorm, activation
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape, resize
from orchestrator_spaces.blocks.transformer import AttentionShape, HeadLayers, LayerScale
from orchestrator_spaces.blocks.two_classifiers import TwoClassifiers
from orchestrator_spaces.efficientformer import stem, strided
from orchestrator_spaces.efficientformerv2_pretrained import PRETRAINED, translate_efficientformerv2
from orchestrator_spaces.efficientformerv2_published import published_full, published_small
from orchestrator_spaces.family import Family

__all__ = ["DistilledEfficientFormerV2", "EfficientFormerV2", "EfficientFormerV2Space"]

ACTIVATION = "gelu"


@dataclass(frozen=True)
class StageTable:
    """What one stage may be: blocks without attention ("local"), then blocks with it.

    Attention works on maps smaller by `attention_stride`. `attention_downsampling`: the stage
    begins with a strided convolution plus attention, else with the convolution alone.
    """

    stride: int
    width: Range
    local: Range
    attention: Range | None = None
    attention_stride: int = 1
    attention_downsampling: bool = False


@dataclass(frozen=True)
class Table:
    """What a preset may be. A head of the downsampling attention is half as wide as another."""

    stages: tuple[StageTable, ...]
    stem_strides: tuple[int, int]
    expansions: tuple[int, ...]
    heads: tuple[int, ...]
    key_width: int
    value_width: int
    layer_scale: float

    @property
    def total_stride(self) -> int:
        """Pixels of the image a side of one place of the last map."""
        return prod(self.stem_strides) * prod(stage.stride for stage in self.stages)


FULL = Table(
    stages=(
        StageTable(1, Range(24, 48, 8), Range(1, 6)),
        StageTable(2, Range(40, 96, 8), Range(1, 6)),
        StageTable(2, Range(80, 208, 8), Range(2, 10), Range(0, 6), attention_stride=2),
        StageTable(2, Range(160, 400, 16), Range(0, 6), Range(0, 6), attention_downsampling=True),
    ),
    stem_strides=(2, 2),
    expansions=(2, 3, 4),
    heads=(4, 8),
    key_width=32,
    value_width=128,
    layer_scale=1e-5,
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 8×8 (attention on 4×4) and 4×4.
SMALL = Table(
    stages=(
        StageTable(1, Range(8, 16, 8), Range(1, 2)),
        StageTable(2, Range(16, 32, 8), Range(1, 2)),
        StageTable(1, Range(24, 40, 8), Range(1, 2), Range(0, 2), attention_stride=2),
        StageTable(2, Range(48, 80, 16), Range(0, 2), Range(0, 2), attention_downsampling=True),
    ),
    stem_strides=(2, 1),
    expansions=(2, 3, 4),
    heads=(2, 4),
    key_width=16,
    value_width=32,
    # Eight epochs are too few to grow a scale from 1e-5.
    layer_scale=0.1,
)

TABLES = {"full": FULL, "small": SMALL}


@outlined
class FeedForward(nn.Sequential):
    """1×1 expand, 3×3 depthwise, 1×1 project: (B, C, H, W) → the same."""

    def __init__(self, width: int, hidden: int) -> None:
        expand = ConvNorm(width, hidden, 1, bias=True, activation=activation(ACTIVATION))
        depthwise = ConvNorm(
            hidden, hidden, 3, groups=hidden, bias=True, activation=activation(ACTIVATION)
        )
        project = _convolution(hidden, width, 1)
        super().__init__(OrderedDict(expand=expand, depthwise=depthwise, project=project))


@outlined
class MapAttention(nn.Module):
    """Attention among the places of a side × side map, whose heads talk to each other.

    The scores of all heads are mixed before and after the softmax (Shazeer et al. 2020,
    arXiv:2003.02436), and a depthwise convolution of the values is added. With `stride` the map
    is made smaller first and larger again before the last projection.
    """

    def __init__(self, shape: AttentionShape, side: int, *, stride: int = 1) -> None:
        super().__init__()
        small = strided(side, stride)
        heads, width = shape.heads, shape.width
        inner = heads * shape.value_width
        self.side, self.scale, self.heads = small, shape.key_width**-0.5, heads
        if stride > 1:
            self.reduce = _convolution(width, width, 3, stride=stride, groups=width)
        self.query = _convolution(width, heads * shape.key_width, 1)
        self.key = _convolution(width, heads * shape.key_width, 1)
        self.value = _convolution(width, inner, 1)
        self.local = _convolution(inner, inner, 3, groups=inner)
        self.bias = AttentionBias(heads, small)
        self.talk_before = nn.Conv2d(heads, heads, 1)
        self.talk_after = nn.Conv2d(heads, heads, 1)
        self.enlarge = resize(small, side)
        self.activation = activation(ACTIVATION)
        self.project = _convolution(inner, width, 1)

    def head_layers(self) -> HeadLayers:
        """Talking heads give and read heads."""
        outputs, inputs, heads = _head_layers(self)
        talks = [self.talk_before, self.talk_after]
        return [*outputs, *talks], [*inputs, *talks], heads

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, side, side) → the same."""
        if hasattr(self, "reduce"):
            x = self.reduce(x)  # (B, C, H, W), smaller by the stride
        value = self.value(x)  # (B, heads · v, H, W)
        query, key = _by_head(self.query(x), self.heads), _by_head(self.key(x), self.heads)
        scores = (query * self.scale).transpose(2, 3) @ key + self.bias()  # (B, heads, N, N)
        scores = self.talk_after(self.talk_before(scores).softmax(dim=-1))
        x = _to_map(_by_head(value, self.heads) @ scores.transpose(2, 3), self.side)
        x = self.enlarge(x + self.local(value))  # (B, heads · v, side, side)
        x = self.project(self.activation(x))
        return x


@outlined
class DownsamplingAttention(nn.Module):
    """Every second place of a side × side map asks all of them; the heads do not talk."""

    def __init__(self, shape: AttentionShape, width: int, side: int) -> None:
        super().__init__()
        heads, width_in = shape.heads, shape.width
        inner = heads * shape.value_width
        self.side, self.scale, self.heads = strided(side, 2), shape.key_width**-0.5, heads
        self.query_local = nn.Conv2d(width_in, width_in, 3, 2, padding=1, groups=width_in)
        self.query_pool = nn.AvgPool2d(1, 2)
        self.query = _convolution(width_in, heads * shape.key_width, 1)
        self.key = _convolution(width_in, heads * shape.key_width, 1)
        self.value = _convolution(width_in, inner, 1)
        self.local = _convolution(inner, inner, 3, stride=2, groups=inner)
        self.bias = AttentionBias(heads, side, stride=2)
        self.activation = activation(ACTIVATION)
        self.project = _convolution(inner, width, 1)

    def head_layers(self) -> HeadLayers:
        """Heads may change places together."""
        return _head_layers(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, side, side) → (B, width, ⌈side/2⌉, ⌈side/2⌉)."""
        value = self.value(x)  # (B, heads · v, side, side)
        query = self.query(self.query_local(x) + self.query_pool(x))  # (B, heads · k, H/2, W/2)
        query, key = _by_head(query, self.heads), _by_head(self.key(x), self.heads)
        scores = (query * self.scale).transpose(2, 3) @ key + self.bias()  # (B, heads, N/4, N)
        scores = scores.softmax(dim=-1)
        x = _to_map(_by_head(value, self.heads) @ scores.transpose(2, 3), self.side)
        x = self.project(self.activation(x + self.local(value)))
        return x


def _head_layers(attention: MapAttention | DownsamplingAttention) -> HeadLayers:
    """Queries, keys, values and what is local of them, each with its norm; the bias."""
    parts = (attention.query, attention.key, attention.value, attention.local)
    outputs = [layer for part in parts for layer in part]
    return [*outputs, attention.bias.by_head()], [attention.project[0]], attention.heads


def _by_head(x: Tensor, heads: int) -> Tensor:
    """(B, heads · d, H, W) → (B, heads, d, N)."""
    return torch.unflatten(x.flatten(2), 1, (heads, -1))


def _to_map(x: Tensor, side: int) -> Tensor:
    """(B, heads, d, N) → (B, heads · d, side, side)."""
    return torch.unflatten(x.flatten(1, 2), 2, (side, side))


@outlined
class Downsampling(nn.Module):
    """A strided convolution plus downsampling attention."""

    def __init__(self, shape: AttentionShape, width: int, side: int) -> None:
        super().__init__()
        self.convolution = _convolution(shape.width, width, 3, stride=2)
        self.attention = DownsamplingAttention(shape, width, side)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, side, side) → (B, width, ⌈side/2⌉, ⌈side/2⌉)."""
        x = self.convolution(x) + self.attention(x)
        return x


@outlined
class Block(nn.Module):
    """Attention if there is any, then the feed-forward network, each scaled and added."""

    def __init__(
        self, width: int, expansion: int, layer_scale: float, attention: nn.Module | None = None
    ) -> None:
        super().__init__()
        if attention is not None:
            self.attention = attention
            self.attention_scale = LayerScale((width, 1, 1), layer_scale)
        self.feed_forward = FeedForward(width, expansion * width)
        self.feed_forward_scale = LayerScale((width, 1, 1), layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        if hasattr(self, "attention"):
            x = x + self.attention_scale(self.attention(x))
        x = x + self.feed_forward_scale(self.feed_forward(x))
        return x


@dataclass(frozen=True)
class StageInput:
    """What a stage is given: maps of width × side × side, or those of the stem (width 0)."""

    width: int
    side: int
    heads: int


@outlined
class Stage(nn.Sequential):
    """Downsampling, but not in the first stage; blocks without attention; blocks with it."""

    def __init__(
        self, architecture: Mapping[str, Any], stage: StageTable, table: Table, given: StageInput
    ) -> None:
        width, scale = architecture["width"], table.layer_scale
        shape = AttentionShape(width, given.heads, table.key_width, table.value_width)
        side, stride = strided(given.side, stage.stride), stage.attention_stride
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if given.width:
            layers["downsample"] = _downsampling(width, stage, table, given)
        layers["local"] = nn.Sequential(
            *(Block(width, expansion, scale) for expansion in architecture["local"])
        )
        layers["attention"] = nn.Sequential(
            *(
                Block(width, expansion, scale, MapAttention(shape, side, stride=stride))
                for expansion in architecture["attention"]
            )
        )
        super().__init__(layers)


def _downsampling(width: int, stage: StageTable, table: Table, given: StageInput) -> nn.Module:
    if not stage.attention_downsampling:
        return _convolution(given.width, width, 3, stride=stage.stride)
    key, value = table.key_width // 2, table.value_width // 2
    return Downsampling(AttentionShape(given.width, given.heads, key, value), width, given.side)


def _convolution(
    width_in: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> ConvNorm:
    """Without activation; with a bias, as all convolutions of the authors."""
    return ConvNorm(width_in, width, kernel, stride=stride, groups=groups, bias=True)


class EfficientFormerV2(nn.Module):
    """Resizing, stem, four stages, norm, mean over places, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        side = image.side
        self.resize = image.resize()
        first = architecture["stages"][0]["width"]
        self.stem = stem(image.in_channels, first, table.stem_strides, ACTIVATION)
        for stride in table.stem_strides:
            side = strided(side, stride)
        self.stages = nn.Sequential()
        width = 0
        for stage, each in zip(architecture["stages"], table.stages, strict=True):
            given = StageInput(width, side, architecture["heads"])
            self.stages.append(Stage(stage, each, table, given))
            side, width = strided(side, each.stride), stage["width"]
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.classifier(self.features(x))
        return x

    def features(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, C4)."""
        x = self.stem(self.resize(x))  # (B, C1, H/4, W/4); H/2 in the small preset
        x = self.stages(x)  # (B, C4, H/32, W/32); H/8 in the small preset
        x = self.norm(x).flatten(2).mean(-1)
        return x


class DistilledEfficientFormerV2(TwoClassifiers, EfficientFormerV2):
    """The same with a second classifier on the same features."""


class EfficientFormerV2Space(Family[Table]):
    """Width, depth and attention blocks of each stage, expansion of each block; heads,
    resolution and whether there is a distillation head.
    """

    name = "efficientformerv2"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """`local` and `attention` of a stage are the expansions of its blocks without and with
        attention.
        """
        table = self.table
        return {
            "resolution": self.ask_resolution(trial),
            "stages": [self._suggest_stage(trial, index) for index in range(len(table.stages))],
            "heads": choose(trial, "heads", table.heads),
            "distillation_head": trial.suggest_categorical("distillation_head", [False, True]),
        }

    def _suggest_stage(self, trial: Trial, index: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        return {
            "width": table.width.ask(trial, f"{name}.width"),
            "local": self._suggest_blocks(trial, f"{name}.local", table.local),
            "attention": self._suggest_blocks(trial, f"{name}.attention", table.attention),
        }

    def _suggest_blocks(self, trial: Trial, name: str, depth: Range | None) -> list[int]:
        if depth is None:
            return []
        expansions = list(self.table.expansions)
        return [
            trial.suggest_categorical(f"{name}.{block}.expansion", expansions)
            for block in range(depth.ask(trial, f"{name}.depth"))
        ]

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        distilled = architecture["distillation_head"]
        network = DistilledEfficientFormerV2 if distilled else EfficientFormerV2
        return network(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return self.table.total_stride

    def published(self) -> Mapping[str, Published]:
        """L, S2, S1 and S0, or in the small preset what remains of them at 32×32."""
        return published_full() if self.preset == "full" else published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """The authors', by timm."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From timm's names."""
        return translate_efficientformerv2(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """What gives queries, keys, values or scores, as their outputs belong to heads, and the
        second classifier.
        """
        fixed: list[nn.Module] = []
        for module in network.modules():
            if isinstance(module, (MapAttention, DownsamplingAttention)):
                parts = (module.query, module.key, module.value, module.local)
                fixed += [part[0] for part in parts]
            if isinstance(module, MapAttention):
                fixed += [module.talk_before, module.talk_after]
        if isinstance(network, TwoClassifiers):
            fixed.append(network.distillation_classifier)
        return fixed
