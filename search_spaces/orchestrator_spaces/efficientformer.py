"""EfficientFormer and a space around it.

Li et al., "EfficientFormer: Vision Transformers at MobileNet Speed", 2022, arXiv:2206.01191, and
the authors' code (snap-research/EfficientFormer). The space is that of the paper's latency-driven
slimming: the width of each stage, and for each slot of a stage a block on maps (4D, pooling), in
the last two stages also a block on tokens (3D, attention), or nothing; once on tokens, always on
tokens. Empty slots vanish: the blocks of a stage are numbered without them. Added: the MLP ratio
of a stage, the number of heads, the blocks' activation and the resolution.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import Checkpoint, Classes, ImageFacts, Maps, Published, Trial, outlined
from orchestrator_spaces.blocks.attention_bias import AttentionBias
from orchestrator_spaces.blocks.convolution import ConvNorm, activation
from orchestrator_spaces.blocks.pyramid import Pyramid, StageEnd, Trunk
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.transformer import (
    AttentionShape,
    LayerScale,
    Mlp,
    MultiHeadAttention,
    TransformerBlock,
    fused_projections,
)
from orchestrator_spaces.blocks.two_classifiers import TwoClassifiers
from orchestrator_spaces.efficientformer_pretrained import PRETRAINED, translate_efficientformer
from orchestrator_spaces.efficientformer_published import published_full, published_small
from orchestrator_spaces.family import Family

__all__ = ["DistilledEfficientFormer", "EfficientFormer", "EfficientFormerSpace", "stem", "strided"]

MAPS, TOKENS = "4d", "3d"
EPSILON = 1e-5


@dataclass(frozen=True)
class StageTable:
    """What one stage may be: its stride, its width, its slots and what may fill them."""

    stride: int
    width: Range
    slots: int
    kinds: tuple[str, ...] = (MAPS,)


@dataclass(frozen=True)
class Table:
    """What a preset may be. The stem has two convolutions, a later stage begins with one."""

    stages: tuple[StageTable, ...]
    stem_strides: tuple[int, int]
    mlp_ratios: tuple[int, ...]
    heads: tuple[int, ...]
    activations: tuple[str, ...]
    key_width: int
    value_width: int
    layer_scale: float

    @property
    def total_stride(self) -> int:
        """Pixels of the image a side of one place of the last map."""
        return prod(self.stem_strides) * prod(stage.stride for stage in self.stages)


FULL = Table(
    stages=(
        StageTable(1, Range(32, 96, 16), 6),
        StageTable(2, Range(64, 192, 16), 6),
        StageTable(2, Range(144, 384, 16), 18, (MAPS, TOKENS)),
        StageTable(2, Range(288, 768, 16), 8, (MAPS, TOKENS)),
    ),
    stem_strides=(2, 2),
    mlp_ratios=(2, 3, 4),
    heads=(4, 8),
    activations=("gelu", "relu", "hardswish"),
    key_width=32,
    value_width=128,
    layer_scale=1e-5,
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 4×4 and 4×4, which leaves 16 tokens.
SMALL = Table(
    stages=(
        StageTable(1, Range(16, 24, 8), 1),
        StageTable(2, Range(24, 40, 8), 2),
        StageTable(2, Range(32, 64, 16), 5, (MAPS, TOKENS)),
        StageTable(1, Range(48, 96, 16), 4, (MAPS, TOKENS)),
    ),
    stem_strides=(2, 1),
    mlp_ratios=(2, 3, 4),
    heads=(2, 4),
    activations=("gelu", "relu", "hardswish"),
    key_width=16,
    value_width=32,
    # Eight epochs are too few to grow a scale from 1e-5.
    layer_scale=0.1,
)

TABLES = {"full": FULL, "small": SMALL}


@dataclass(frozen=True)
class BlockShape:
    """What the blocks of a stage have in common; `side` is that of the stage's maps."""

    width: int
    hidden: int
    activation: str
    heads: int
    side: int


class PoolMixer(nn.Module):
    """Mean of the 3×3 neighbours minus the centre; padding is not averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        x = self.pool(x) - x
        return x


@outlined
class MB4D(nn.Module):
    """A block on maps: pooling, then an MLP of 1×1 convolutions."""

    def __init__(self, shape: BlockShape, *, layer_scale: float) -> None:
        super().__init__()
        act = activation(shape.activation)
        self.mixer = PoolMixer()
        self.mixer_scale = LayerScale((shape.width, 1, 1), layer_scale)
        self.mlp = nn.Sequential(
            ConvNorm(shape.width, shape.hidden, 1, bias=True, activation=act),
            ConvNorm(shape.hidden, shape.width, 1, bias=True),
        )
        self.mlp_scale = LayerScale((shape.width, 1, 1), layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        x = x + self.mixer_scale(self.mixer(x))
        x = x + self.mlp_scale(self.mlp(x))
        return x


@outlined
class MB3D(TransformerBlock):
    """A block on tokens: attention, then an MLP. Keys are narrower than values."""

    def __init__(self, shape: BlockShape, table: Table) -> None:
        width = shape.width
        attention = MultiHeadAttention(
            AttentionShape(width, shape.heads, table.key_width, table.value_width),
            bias=AttentionBias(shape.heads, shape.side),
        )
        mlp = Mlp(width, shape.hidden, act=shape.activation)
        attended, mixed = (
            _scaled(layer, LayerScale((width,), table.layer_scale)) for layer in (attention, mlp)
        )
        super().__init__(attended, mixed, width, eps=EPSILON)


def _scaled(layer: nn.Module, scale: LayerScale) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layer=layer, scale=scale))


class TokenBlocks(nn.Sequential):
    """Blocks on the tokens of a side × side map."""

    def __init__(self, blocks: Iterable[nn.Module], side: int) -> None:
        super().__init__(*blocks)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, side, side) → the same."""
        x = x.flatten(2).transpose(1, 2)  # (B, N, C)
        for block in self:
            x = block(x)
        return torch.unflatten(x.transpose(1, 2), 2, (self.side, self.side))


@outlined
class Stage(nn.Module):
    """An optional downsampling convolution, blocks on maps, then blocks on tokens."""

    def __init__(
        self, kinds: Sequence[str], shape: BlockShape, table: Table, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        if downsample is not None:
            self.downsample = downsample
        scale = table.layer_scale
        self.mb4d = nn.Sequential(
            *(MB4D(shape, layer_scale=scale) for _ in range(kinds.count(MAPS)))
        )
        if TOKENS in kinds:
            blocks = (MB3D(shape, table) for _ in range(kinds.count(TOKENS)))
            self.mb3d = TokenBlocks(blocks, shape.side)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, side, side)."""
        for part in self.children():
            x = part(x)
        return x


class EfficientFormerTrunk(Trunk):
    """Resizing, stem, four stages."""

    def __init__(self, architecture: Mapping[str, Any], table: Table, image: ImageShape) -> None:
        super().__init__(image)
        side = image.side
        width, total = architecture["stages"][0]["width"], prod(table.stem_strides)
        self.stem = stem(image.in_channels, width, table.stem_strides, "relu")
        for stride in table.stem_strides:
            side = strided(side, stride)
        self.stages = nn.Sequential()
        for stage, each in zip(architecture["stages"], table.stages, strict=True):
            side = strided(side, each.stride)
            downsample = None
            if len(self.stages):
                downsample = ConvNorm(width, stage["width"], 3, stride=each.stride, bias=True)
            width, total = stage["width"], total * each.stride
            block = BlockShape(
                width,
                stage["mlp_ratio"] * width,
                architecture["activation"],
                architecture["heads"],
                side,
            )
            self.stages.append(Stage(stage["blocks"], block, table, downsample))
            self.ends.append(StageEnd(width, total))


class EfficientFormer(EfficientFormerTrunk):
    """Resizing, stem, four stages, norm, mean over tokens, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__(architecture, table, image)
        width = self.ends[-1].channels
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.classifier(self.features(x))
        return x

    def features(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, C4)."""
        x = self.stem(self.resize(x))  # (B, C1, H/4, W/4); H/2 in the small preset
        x = self.stages(x)  # (B, C4, H/32, W/32); H/8 in the small preset
        x = self.norm(x.flatten(2).transpose(1, 2))  # (B, N, C4)
        return x.mean(1)


class DistilledEfficientFormer(TwoClassifiers, EfficientFormer):
    """The same with a second classifier on the same features."""


@outlined
def stem(in_channels: int, width: int, strides: tuple[int, int], act: str) -> nn.Sequential:
    """Two 3×3 convolutions, to (B, width, …, …)."""
    first, second = strides
    half = width // 2
    return nn.Sequential(
        ConvNorm(in_channels, half, 3, stride=first, bias=True, activation=activation(act)),
        ConvNorm(half, width, 3, stride=second, bias=True, activation=activation(act)),
    )


def strided(side: int, stride: int) -> int:
    """The side of a map after a padded convolution."""
    return -(-side // stride)


class EfficientFormerSpace(Family[Table]):
    """What fills each slot, width and MLP ratio of each stage; heads, activation, resolution and
    whether there is a distillation head.
    """

    name = "efficientformer"
    tables = TABLES
    serves = frozenset({Classes, Maps})
    classifier_choices = frozenset({"distillation_head"})

    def ask(self, trial: Trial) -> dict[str, Any]:
        """`blocks` of a stage lists "4d" and "3d"; what no block uses is 0 or None."""
        table = self.table
        resolution = self.ask_resolution(trial)
        stages: list[dict[str, Any]] = []
        kinds: list[str] = []
        for index in range(len(table.stages)):
            stages.append(self._suggest_stage(trial, index, on_tokens=TOKENS in kinds))
            kinds += stages[-1]["blocks"]
        heads, act = 0, None
        if TOKENS in kinds:
            heads = choose(trial, "heads", table.heads)
        if kinds:
            act = choose(trial, "activation", table.activations)
        return {
            "resolution": resolution,
            "stages": stages,
            "heads": heads,
            "activation": act,
            "distillation_head": trial.suggest_categorical("distillation_head", [False, True]),
        }

    def _suggest_stage(self, trial: Trial, index: int, *, on_tokens: bool) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        width = table.width.ask(trial, f"{name}.width")
        blocks: list[str] = []
        for slot in range(table.slots):
            # Apart from its kind, so that a slot is asked alike before and after the first 3D.
            if not trial.suggest_categorical(f"{name}.blocks.{slot}.used", [False, True]):
                continue
            kind = TOKENS if on_tokens else table.kinds[0]
            if not on_tokens and len(table.kinds) > 1:
                kind = choose(trial, f"{name}.blocks.{slot}.kind", table.kinds)
            on_tokens = kind == TOKENS
            blocks.append(kind)
        ratio = 0
        # A stage may be no more than its downsampling convolution.
        if blocks:
            ratio = choose(trial, f"{name}.mlp_ratio", self.table.mlp_ratios)
        return {"width": width, "blocks": blocks, "mlp_ratio": ratio}

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        distilled = architecture["distillation_head"]
        network = DistilledEfficientFormer if distilled else EfficientFormer
        return network(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return self.table.total_stride

    def features(self, architecture: Mapping[str, Any], facts: ImageFacts) -> nn.Module:
        """The maps at the end of stages; raises BuildError as `build`."""
        image = self.image(architecture, facts)
        pyramid = Pyramid(EfficientFormerTrunk(architecture, self.table, image))
        return self.conventional(pyramid, architecture)

    def published(self) -> Mapping[str, Published]:
        """L1, L3 and L7, or in the small preset what remains of them at 32×32."""
        slots = [stage.slots for stage in self.table.stages]
        return published_full(slots) if self.preset == "full" else published_small(slots)

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """The authors', by timm."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From timm's names."""
        return translate_efficientformer(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The query, key and value projections, whose outputs belong to heads, and the second
        classifier.
        """
        fixed = fused_projections(network)
        if isinstance(network, TwoClassifiers):
            fixed.append(network.distillation_classifier)
        return fixed
