"""EdgeViT and a space around it.

Pan et al., "EdgeViTs: Competing Light-weight CNNs on Mobile Devices with Vision Transformers",
2022, arXiv:2205.03436, and the authors' code (saic-fi/edgevit), whose depths these are; S has
there 13.1 M parameters, where the paper prints 11.1 M. Nobody published a search space around it:
this one has the width, depth, heads and MLP ratio of each stage, how sparse its attention is, the
kernel of its local aggregation, and the image size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import Published, Trial, outlined
from orchestrator_spaces.blocks.members import by_stage, scaled
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.transformer import (
    AttentionShape,
    HeadLayers,
    Mlp,
    MultiHeadAttention,
    TransformerBlock,
    fused_projections,
)
from orchestrator_spaces.edgevit_naming import translate_edgevit
from orchestrator_spaces.family import Family

__all__ = ["EdgeViT", "EdgeViTSpace"]

# Of the norms of patches and of propagated tokens, and of those inside transformer blocks.
OUTER_EPS, INNER_EPS = 1e-5, 1e-6
# Deviation of the initial linear weights, as published.
DEVIATION = 0.02


@dataclass(frozen=True)
class StageTable:
    """What one stage may be. Of `rate` × `rate` tokens one takes part in attention."""

    width: Range
    depth: Range
    heads: Range
    rates: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """What a preset may be. A stage's patches are its stride wide."""

    stages: tuple[StageTable, ...]
    strides: tuple[int, ...]
    head_widths: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    kernels: tuple[int, ...]
    xavier: bool


FULL = Table(
    stages=(
        StageTable(Range(24, 60, 12), Range(1, 3), Range(1, 2), (2, 4, 8)),
        StageTable(Range(48, 120, 24), Range(1, 4), Range(1, 3), (1, 2, 4)),
        StageTable(Range(96, 288, 48), Range(1, 8), Range(3, 6), (1, 2)),
        StageTable(Range(192, 480, 96), Range(1, 4), Range(4, 10, 2), (1, 2)),
    ),
    strides=(4, 2, 2, 2),
    head_widths=(36, 48),
    mlp_ratios=(2, 3, 4),
    kernels=(3, 5, 7),
    xavier=False,
)

# 32×32 in: 16×16, 8×8, 4×4 and 4×4 tokens.
SMALL = Table(
    stages=(
        StageTable(Range(8, 16, 8), Range(1, 1), Range(1, 2), (2, 4)),
        StageTable(Range(24, 32, 8), Range(1, 2), Range(1, 3), (1, 2, 4)),
        StageTable(Range(40, 64, 8), Range(1, 3), Range(2, 4), (1, 2)),
        StageTable(Range(48, 80, 16), Range(1, 2), Range(2, 6, 2), (1, 2)),
    ),
    strides=(2, 2, 2, 1),
    head_widths=(8, 16),
    mlp_ratios=(2, 3, 4),
    kernels=(3, 5, 7),
    xavier=True,
)

TABLES = {"full": FULL, "small": SMALL}


@dataclass(frozen=True)
class BlockShape:
    """A block's widths, and what its maps are: side × side, of which attention sees every
    `rate`-th row and column.
    """

    attention: AttentionShape
    hidden: int
    kernel: int
    rate: int
    side: int


@outlined
class PatchEmbedding(nn.Module):
    """Square patches without overlap and a norm; what reaches over the map's edge is zero."""

    def __init__(self, width_in: int, width: int, patch: int, *, side: int) -> None:
        super().__init__()
        rest = -side % patch
        self.pad = nn.ZeroPad2d((0, rest, 0, rest)) if rest else nn.Identity()
        self.patches = nn.Conv2d(width_in, width, patch, patch)
        self.norm = nn.LayerNorm(width, eps=OUTER_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, ⌈H/patch⌉, ⌈W/patch⌉)."""
        x = self.patches(self.pad(x)).permute(0, 2, 3, 1)  # (B, H/patch, W/patch, C)
        x = self.norm(x).permute(0, 3, 1, 2)
        return x


@outlined
class LocalAggregation(nn.Module):
    """Each place learns from its neighbours: a bottleneck with a depthwise convolution, an MLP."""

    def __init__(self, width: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.position = _depthwise(width, 3)
        self.mixer = nn.Sequential(
            OrderedDict(
                norm=nn.BatchNorm2d(width),
                enter=nn.Conv2d(width, width, 1),
                depthwise=_depthwise(width, kernel),
                leave=nn.Conv2d(width, width, 1),
            )
        )
        self.mlp = nn.Sequential(
            OrderedDict(
                norm=nn.BatchNorm2d(width),
                expand=nn.Conv2d(width, hidden, 1),
                activation=nn.GELU(),
                project=nn.Conv2d(hidden, width, 1),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        x = x + self.position(x)
        x = x + self.mixer(x)
        x = x + self.mlp(x)
        return x


@outlined
class Propagation(nn.Module):
    """Each seen token hands on to the `rate` × `rate` places that it stands for.

    The filter carries the rate in its name: its entries mean places.
    """

    def __init__(self, width: int, rate: int, side: int) -> None:
        super().__init__()
        self.side = side
        conv = nn.ConvTranspose2d(width, width, rate, rate, groups=width)
        self.spread = nn.Sequential(OrderedDict([(f"rate{rate}", conv)]))
        self.norm = nn.LayerNorm(width, eps=OUTER_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ⌈side/rate⌉, ⌈side/rate⌉) → (B, side, side, C)."""
        x = self.spread(x)[:, :, : self.side, : self.side]  # (B, C, side, side)
        x = self.norm(x.permute(0, 2, 3, 1))
        return x


@outlined
class SparseAttention(MultiHeadAttention):
    """Attention among the first token of each `rate` × `rate` tokens, then local propagation."""

    def __init__(self, block: BlockShape) -> None:
        super().__init__(block.attention)
        self.sample = nn.AvgPool2d(1, block.rate) if block.rate > 1 else nn.Identity()
        self.seen = -(-block.side // block.rate)
        if block.rate > 1:
            width = block.attention.heads * block.attention.value_width
            self.propagation = Propagation(width, block.rate, block.side)

    def head_layers(self) -> HeadLayers:
        """What propagates the heads' answers keeps their channels where they are."""
        outputs, inputs, heads = super().head_layers()
        if hasattr(self, "propagation"):
            outputs = [*outputs, *self.propagation.spread, self.propagation.norm]
        return outputs, inputs, heads

    def forward(self, x: Tensor) -> Tensor:
        """(B, side, side, C) → the same."""
        x = self.sample(x.permute(0, 3, 1, 2)).flatten(2)  # (B, C, seen²)
        x = self.attend(x.transpose(1, 2))  # (B, seen², heads · v)
        x = torch.unflatten(x, 1, (self.seen, self.seen))
        if hasattr(self, "propagation"):
            x = self.propagation(x.permute(0, 3, 1, 2))  # (B, side, side, heads · v)
        x = self.project(x)
        return x


@outlined
class LocalGlobalLocal(nn.Module):
    """Local aggregation, sparse attention, local propagation.

    Where attention sees every token there is nothing local: a transformer block with a depthwise
    convolution for the position remains. Heads of two widths have no weights in common, so that
    the attention carries their width in its name.
    """

    def __init__(self, block: BlockShape) -> None:
        super().__init__()
        width = block.attention.width
        if block.rate > 1:
            self.aggregation = LocalAggregation(width, block.hidden, block.kernel)
        self.position = _depthwise(width, 3)
        named = (f"head{block.attention.key_width}", SparseAttention(block))
        attention = nn.Sequential(OrderedDict([named]))
        self.block = TransformerBlock(attention, Mlp(width, block.hidden), width, eps=INNER_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, side, side) → the same."""
        if hasattr(self, "aggregation"):
            x = self.aggregation(x)
        x = x + self.position(x)
        x = self.block(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x


class EdgeViT(nn.Module):
    """Stages of patches and blocks, norm, mean over places, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        width, side = image.in_channels, image.side
        self.resize = image.resize()
        self.stages = nn.Sequential()
        for stage, stride in zip(architecture["stages"], table.strides, strict=True):
            embedding = PatchEmbedding(width, stage["width"], stride, side=side)
            side, width = -(-side // stride), stage["width"]
            block = _block_shape(stage, architecture["head_width"], side)
            blocks = nn.Sequential(*(LocalGlobalLocal(block) for _ in range(stage["depth"])))
            self.stages.append(nn.Sequential(OrderedDict(embedding=embedding, blocks=blocks)))
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, classes)
        self.apply(partial(_initialise, xavier=table.xavier))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.stages(self.resize(x))  # (B, C4, H/32, W/32), H/8 in the small preset
        x = self.pool(self.norm(x)).flatten(1)  # (B, C4)
        x = self.classifier(x)
        return x


class EdgeViTSpace(Family[Table]):
    """Width, depth, heads, MLP ratio, subsampling and kernel of each stage; the heads' width."""

    name = "edgevit"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """A stage's kernel is 0 where it has no local aggregation."""
        table = self.table
        return {
            "resolution": self.ask_resolution(trial),
            "head_width": choose(trial, "head_width", table.head_widths),
            "stages": [self._suggest_stage(trial, index) for index in range(len(table.stages))],
        }

    def _suggest_stage(self, trial: Trial, index: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        rate = choose(trial, f"{name}.rate", table.rates)
        kernel = 0
        if rate > 1:
            kernel = choose(trial, f"{name}.kernel", self.table.kernels)
        depth = table.depth.ask(trial, f"{name}.depth")
        ratios = list(self.table.mlp_ratios)
        return {
            "width": table.width.ask(trial, f"{name}.width"),
            "depth": depth,
            "heads": table.heads.ask(trial, f"{name}.heads"),
            "mlp_ratio": trial.suggest_categorical(f"{name}.mlp_ratio", ratios),
            "rate": rate,
            "kernel": kernel,
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return EdgeViT(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Its total stride."""
        return prod(self.table.strides)

    def side_step(self, architecture: Mapping[str, Any]) -> int:
        """A patch of the first stage."""
        return self.table.strides[0]

    def published(self) -> Mapping[str, Published]:
        """S, XS and XXS, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From the authors' names, which no listed checkpoint has."""
        return translate_edgevit(state, naming)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The query, key and value projections, whose outputs belong to heads."""
        return fused_projections(network)


@outlined
def _depthwise(width: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)


def _block_shape(stage: Mapping[str, int], head_width: int, side: int) -> BlockShape:
    return BlockShape(
        attention=AttentionShape(stage["width"], stage["heads"], head_width, head_width),
        hidden=stage["mlp_ratio"] * stage["width"],
        kernel=stage["kernel"],
        rate=stage["rate"],
        side=side,
    )


def _initialise(module: nn.Module, *, xavier: bool) -> None:
    """Linear layers; narrow ones need larger weights than the published ones."""
    if not isinstance(module, nn.Linear):
        return
    if xavier:
        nn.init.xavier_uniform_(module.weight)
    else:
        nn.init.trunc_normal_(module.weight, std=DEVIATION)
    nn.init.zeros_(module.bias)


PAPER = "Pan et al. 2022, arXiv:2205.03436"


def _published_full() -> dict[str, Published]:
    source = f"{PAPER}; saic-fi/edgevit"
    xxs = _choices((36, 72, 144, 288), (1, 1, 3, 2), (1, 2, 4, 8)) | {"head_width": 36}
    xs = _choices((48, 96, 240, 384), (1, 1, 3, 1), (1, 2, 5, 8)) | {"head_width": 48}
    s = _choices((48, 96, 240, 384), (1, 2, 5, 3), (1, 2, 5, 8)) | {"head_width": 48}
    return {
        "s": Published(s, 224, source, 13_108_168, 1_911_021_792, 81.0),
        "xs": Published(xs, 224, source, 6_770_056, 1_127_815_200, 77.5),
        "xxs": Published(xxs, 224, source, 4_067_704, 551_262_816, 74.4),
    }


def _choices(
    widths: tuple[int, ...], depths: tuple[int, ...], heads: tuple[int, ...]
) -> dict[str, Any]:
    stages = by_stage(width=widths, depth=depths, heads=heads, mlp_ratio=(4, 4, 4, 4))
    # The last stage's attention sees every token, so that nothing is aggregated there.
    return {"resolution": 1.0, **stages, **by_stage(rate=(4, 2, 2, 1), kernel=(5, 5, 5))}


def _published_small() -> dict[str, Published]:
    how = "patches of 2 px, stages at 16×16, 8×8, 4×4 and 4×4, a sixth to a third of the width"
    points = {
        "s": _choices((16, 32, 64, 80), (1, 2, 3, 2), (1, 2, 4, 6)) | {"head_width": 16},
        "xs": _choices((16, 32, 64, 80), (1, 1, 2, 1), (1, 2, 4, 6)) | {"head_width": 16},
        "xxs": _choices((16, 24, 48, 64), (1, 1, 2, 1), (2, 3, 4, 6)) | {"head_width": 8},
    }
    for choices in points.values():
        del choices["stages.0.depth"]
    return scaled(PAPER, how, points)
