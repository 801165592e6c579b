"""MobileViT and a space around it.

Mehta & Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision
Transformer", 2021, arXiv:2110.02178; the authors' code (apple/ml-cvnets). Searched are widths,
depths, expansion and kernel of each stage and, of a MobileViT block, its width, layers, heads,
MLP ratio and patch (the paper times patches of 2, 2, 2 and of 8, 4, 2). Added: a fusion of
kernel 1, as in Wadekar & Chaurasia, "MobileViTv3", 2022, arXiv:2209.15159.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import Checkpoint, Part, Published, Trial, outlined, segments
from orchestrator_spaces.blocks.convolution import ConvNorm
from orchestrator_spaces.blocks.inverted_residual import InvertedResidual, InvertedResidualShape
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.transformer import (
    AttentionShape,
    Mlp,
    MultiHeadAttention,
    TransformerBlock,
    fused_projections,
)
from orchestrator_spaces.family import Family
from orchestrator_spaces.mobilevit_pretrained import PRETRAINED, translate_mobilevit
from orchestrator_spaces.mobilevit_published import published_full, published_small

__all__ = ["MobileViT", "MobileViTSpace"]


@dataclass(frozen=True)
class TransformerTable:
    """What a stage's MobileViT block may be; its width is a multiple of every number of heads."""

    width: Range
    depth: Range
    patches: tuple[int, ...]


@dataclass(frozen=True)
class StageTable:
    """What a stage may be: inverted residuals, the first with the stride, then maybe a block."""

    stride: int
    width: Range
    depth: Range
    transformer: TransformerTable | None = None


@dataclass(frozen=True)
class Table:
    """What a preset may be. The stem has a stride of 2."""

    stages: tuple[StageTable, ...]
    stem_width: Range
    expansions: tuple[int, ...]
    kernels: tuple[int, ...]
    heads: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    head_ratios: tuple[int, ...]
    dropout: float


FULL = Table(
    stages=(
        StageTable(1, Range(16, 48, 8), Range(1, 2)),
        StageTable(2, Range(24, 96, 8), Range(1, 4)),
        StageTable(
            2,
            Range(48, 128, 16),
            Range(1, 2),
            TransformerTable(Range(48, 192, 8), Range(1, 4), (2, 4, 8)),
        ),
        StageTable(
            2,
            Range(48, 160, 16),
            Range(1, 2),
            TransformerTable(Range(64, 240, 8), Range(1, 6), (2, 4)),
        ),
        StageTable(
            2,
            Range(64, 192, 16),
            Range(1, 2),
            TransformerTable(Range(80, 288, 8), Range(1, 5), (1, 2)),
        ),
    ),
    stem_width=Range(16, 32, 8),
    expansions=(2, 3, 4, 6),
    kernels=(3, 5),
    heads=(2, 4, 8),
    mlp_ratios=(1, 2, 4),
    head_ratios=(2, 3, 4),
    dropout=0.1,
)

# 32×32 in: 16×16 after the stem, then 16×16, 16×16, 8×8 and 4×4.
SMALL = Table(
    stages=(
        StageTable(1, Range(8, 16, 8), Range(1, 1)),
        StageTable(1, Range(16, 32, 8), Range(1, 2)),
        StageTable(
            2,
            Range(16, 48, 8),
            Range(1, 2),
            TransformerTable(Range(32, 64, 16), Range(1, 2), (1, 2, 4)),
        ),
        StageTable(
            2,
            Range(32, 64, 16),
            Range(1, 2),
            TransformerTable(Range(32, 96, 16), Range(1, 3), (1, 2)),
        ),
    ),
    stem_width=Range(8, 16, 8),
    expansions=(2, 3, 4),
    kernels=(3, 5),
    heads=(2, 4, 8),
    mlp_ratios=(1, 2, 4),
    head_ratios=(2, 3, 4),
    dropout=0.0,
)

TABLES = {"full": FULL, "small": SMALL}


class Patches(nn.Module):
    """Tokens of one map, sorted by their place within a patch; and back.

    Maps whose sides are no multiples of the patch are resized bilinearly to the next one, and
    back.
    """

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B · patch², H/patch · W/patch, C), H and W rounded up."""
        patch = self.patch
        rows, columns = (_count(side, patch) for side in x.shape[2:])
        x = _resized(x, rows * patch, columns * patch)
        x = torch.unflatten(torch.unflatten(x, 2, (rows, patch)), 4, (columns, patch))
        # (B, C, rows, patch, columns, patch) → (B, patch, patch, rows, columns, C)
        return x.permute(0, 3, 5, 2, 4, 1).flatten(0, 2).flatten(1, 2)

    def back(self, x: Tensor, height: int, width: int) -> Tensor:
        """The inverse, to (B, C, height, width)."""
        patch = self.patch
        rows, columns = _count(height, patch), _count(width, patch)
        x = torch.unflatten(torch.unflatten(x, 1, (rows, columns)), 0, (-1, patch, patch))
        # (B, patch, patch, rows, columns, C) → (B, C, rows, patch, columns, patch)
        x = x.permute(0, 5, 3, 1, 4, 2).flatten(4, 5).flatten(2, 3)
        return _resized(x, height, width)

    def extra_repr(self) -> str:
        """The patch, so that networks of two patches are told apart."""
        return f"patch={self.patch}"


def _count(side: int, patch: int) -> int:
    """Rounded up without a negative number: ONNX divides towards zero, Python downwards."""
    return (side + patch - 1) // patch


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    if tuple(x.shape[2:]) == (height, width):
        return x
    return functional.interpolate(x, (height, width), mode="bilinear")


@outlined
class MobileViTBlock(nn.Module):
    """Convolution, transformer among equal places of all patches, fusion with the input."""

    def __init__(self, architecture: Mapping[str, Any], width: int, dropout: float) -> None:
        super().__init__()
        inner = architecture["width"]
        self.local = ConvNorm(width, width, 3, activation=nn.SiLU(inplace=True))
        self.widen = nn.Conv2d(width, inner, 1, bias=False)
        self.patches = Patches(architecture["patch"])
        self.layers = nn.Sequential(
            *(_layer(architecture, dropout) for _ in range(architecture["depth"]))
        )
        self.norm = nn.LayerNorm(inner, eps=EPSILON)
        self.narrow = ConvNorm(inner, width, 1, activation=nn.SiLU(inplace=True))
        kernel = architecture["fusion_kernel"]
        self.fuse = ConvNorm(2 * width, width, kernel, activation=nn.SiLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        height, width = x.shape[2:]
        tokens = self.patches(self.widen(self.local(x)))  # (B · patch², N, inner)
        tokens = self.norm(self.layers(tokens))
        seen = self.narrow(self.patches.back(tokens, height, width))  # (B, C, H, W)
        x = self.fuse(torch.cat((x, seen), dim=1))
        return x


EPSILON = 1e-5


@outlined
def _layer(architecture: Mapping[str, Any], dropout: float) -> TransformerBlock:
    """The attention is named by its number of heads, as a head's width depends on it."""
    width, heads = architecture["width"], architecture["heads"]
    each = width // heads
    attention = MultiHeadAttention(AttentionShape(width, heads, each, each))
    mlp = Mlp(width, architecture["mlp_ratio"] * width, act="silu")
    named = OrderedDict([(f"heads{heads}", attention), ("dropout", nn.Dropout(dropout))])
    mlp.append(nn.Dropout(dropout))
    return TransformerBlock(nn.Sequential(named), mlp, width, eps=EPSILON)


@outlined
class Stage(nn.Module):
    """Inverted residuals, then maybe a MobileViT block."""

    def __init__(
        self, architecture: Mapping[str, Any], width_in: int, stride: int, *, dropout: float
    ) -> None:
        super().__init__()
        width = architecture["width"]
        self.convolutions = nn.Sequential()
        for index in range(architecture["depth"]):
            shape = InvertedResidualShape(
                width_in=width_in,
                expanded=architecture["expansion"] * width_in,
                width=width,
                kernel=architecture["kernel"],
                stride=1 if index else stride,
                activation="silu",
            )
            self.convolutions.append(InvertedResidual(shape))
            width_in = width
        if architecture["transformer"]:
            self.mobilevit = MobileViTBlock(architecture["transformer"], width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, ⌈H/stride⌉, ⌈W/stride⌉)."""
        for part in self.children():
            x = part(x)
        return x


class MobileViT(nn.Module):
    """Resizing, stem, stages, 1×1 convolution, mean, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        self.resize = image.resize()
        width = architecture["stem"]
        self.stem = ConvNorm(
            image.in_channels, width, 3, stride=2, activation=nn.SiLU(inplace=True)
        )
        self.stages = nn.Sequential()
        for stage, each in zip(architecture["stages"], table.stages, strict=True):
            self.stages.append(Stage(stage, width, each.stride, dropout=table.dropout))
            width = stage["width"]
        head = architecture["head_ratio"] * width
        self.last = ConvNorm(width, head, 1, activation=nn.SiLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(table.dropout)
        self.classifier = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.stem(self.resize(x))  # (B, stem, H/2, W/2)
        x = self.stages(x)  # (B, C5, H/32, W/32); (B, C4, H/8, W/8) in the small preset
        x = self.pool(self.last(x)).flatten(1)  # (B, head)
        x = self.classifier(self.dropout(x))
        return x


class MobileViTSpace(Family[Table]):
    """Widths, depths, expansion and kernel of each stage; width, layers, heads, MLP ratio, patch
    and fusion of its MobileViT block; the last convolution's width; the resolution.
    """

    name = "mobilevit"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Widths are absolute channel counts; `transformer` is None in the first stages."""
        table = self.table
        return {
            "resolution": self.ask_resolution(trial),
            "stem": table.stem_width.ask(trial, "stem.width"),
            "stages": [self._suggest_stage(trial, index) for index in range(len(table.stages))],
            "head_ratio": choose(trial, "head.ratio", table.head_ratios),
        }

    def _suggest_stage(self, trial: Trial, index: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        depth = table.depth.ask(trial, f"{name}.depth")
        block = table.transformer
        return {
            "width": table.width.ask(trial, f"{name}.width"),
            "depth": depth,
            "expansion": choose(trial, f"{name}.expansion", self.table.expansions),
            "kernel": choose(trial, f"{name}.kernel", self.table.kernels),
            "transformer": block and self._suggest_block(trial, f"{name}.transformer", block),
        }

    def _suggest_block(self, trial: Trial, name: str, table: TransformerTable) -> dict[str, Any]:
        return {
            "width": table.width.ask(trial, f"{name}.width"),
            "depth": table.depth.ask(trial, f"{name}.depth"),
            "heads": choose(trial, f"{name}.heads", self.table.heads),
            "mlp_ratio": choose(trial, f"{name}.mlp_ratio", self.table.mlp_ratios),
            "patch": choose(trial, f"{name}.patch", table.patches),
            "fusion_kernel": trial.suggest_categorical(f"{name}.fusion_kernel", [1, 3]),
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return MobileViT(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return 2 * prod(stage.stride for stage in self.table.stages)

    def published(self) -> Mapping[str, Published]:
        """S, XS and XXS, or in the small preset what remains of them at 32×32."""
        return published_full() if self.preset == "full" else published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """The authors', by timm."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From timm's names."""
        return translate_mobilevit(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The query, key and value projections, whose outputs belong to heads."""
        return fused_projections(network)

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[Part, ...] | None:
        """Narrower heads are each head's first part; a narrower fusion takes both inputs' first."""
        if match := re.search(r"\.heads(\d+)\.(qkv|project)\.(weight|bias)$", name):
            heads, layer, kind = int(match[1]), match[2], match[3]
            if layer == "qkv":
                # Query, key and value of a head follow one another.
                out = segments(full[0], wanted[0], 3 * heads)
                return (out, *(slice(size) for size in wanted[1:]))
            if kind == "weight":
                return slice(wanted[0]), segments(full[1], wanted[1], heads)
        if name.endswith(".fuse.conv.weight"):
            centre = (full[2] - wanted[2]) // 2
            kernel = slice(centre, centre + wanted[2])
            return slice(wanted[0]), segments(full[1], wanted[1], 2), kernel, kernel
        return None
