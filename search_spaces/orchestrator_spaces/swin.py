"""Swin Transformer and a space around it.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", 2021,
arXiv:2103.14030, and the authors' code (microsoft/Swin-Transformer); how maps are padded that
windows or 2×2 patches do not divide is from their detection code. The choices are those of Chen et
al., "Searching the Search Space of Vision Transformer", 2021, arXiv:2111.14725: width, depth,
heads of a fixed width and MLP ratio of each stage, and the window; here one window serves all
stages, as in the published networks. Added: the image size, and larger patches in its place.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import Checkpoint, Part, Published, Trial, outlined, segments
from orchestrator_spaces.blocks.members import by_stage, scaled
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.transformer import (
    AttentionShape,
    Mlp,
    TransformerBlock,
    fused_projections,
)
from orchestrator_spaces.blocks.window_attention import Grid, WindowAttention, share_bias
from orchestrator_spaces.family import Family
from orchestrator_spaces.swin_pretrained import PRETRAINED, translate_swin

__all__ = ["Swin", "SwinSpace"]

EPS = 1e-5


@dataclass(frozen=True)
class StageTable:
    """What one stage may be."""

    width: Range
    depth: Range
    heads: Range


@dataclass(frozen=True)
class Table:
    """What a preset may be. `windows` are for whole images in the smallest patches,
    `coarse_windows` where there are fewer tokens. `least` is the smallest side of an image, in
    pixels; `deviation` that of the initial linear weights, or None for one that suits each
    layer's widths (Xavier).
    """

    stages: tuple[StageTable, ...]
    patches: tuple[int, ...]
    windows: tuple[int, ...]
    coarse_windows: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    head_width: int
    least: int
    deviation: float | None


FULL = Table(
    stages=(
        StageTable(Range(64, 128, 16), Range(1, 4), Range(2, 4)),
        StageTable(Range(128, 256, 32), Range(1, 4), Range(4, 8, 2)),
        StageTable(Range(256, 512, 64), Range(2, 18), Range(8, 16, 4)),
        StageTable(Range(512, 1024, 128), Range(1, 4), Range(16, 32, 8)),
    ),
    patches=(4, 8),
    windows=(7, 14),
    coarse_windows=(7, 14),
    mlp_ratios=(2, 3, 4),
    head_width=32,
    least=32,
    deviation=0.02,
)

# 32×32 in: 16×16, 8×8 and 4×4 tokens with patches of 2 px.
SMALL = Table(
    stages=(
        StageTable(Range(16, 24, 4), Range(1, 2), Range(1, 3)),
        StageTable(Range(32, 48, 8), Range(1, 2), Range(2, 6, 2)),
        StageTable(Range(48, 96, 16), Range(1, 2), Range(4, 12, 4)),
    ),
    patches=(2, 4),
    windows=(2, 4, 8),
    coarse_windows=(2, 4),
    mlp_ratios=(2, 3, 4),
    head_width=8,
    least=8,
    # With 0.02 narrow layers pass on too little to learn digits in eight epochs.
    deviation=None,
)

TABLES = {"full": FULL, "small": SMALL}


@outlined
class PatchEmbedding(nn.Module):
    """Square patches without overlap and a norm; a filter carries its patch's size in its name."""

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        super().__init__()
        conv = nn.Conv2d(in_channels, width, patch, patch)
        self.patches = nn.Sequential(OrderedDict([(f"side{patch}", conv)]))
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, H/patch, W/patch, C)."""
        x = self.norm(self.patches(x).permute(0, 2, 3, 1))
        return x


@outlined
class PatchMerging(nn.Module):
    """Two by two neighbours side by side in one token, a norm, a projection without bias."""

    def __init__(self, width_in: int, width: int, *, odd: bool) -> None:
        super().__init__()
        self.odd = odd
        self.norm = nn.LayerNorm(4 * width_in, eps=EPS)
        self.reduce = nn.Linear(4 * width_in, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, side, side, C_in) → (B, ⌈side/2⌉, ⌈side/2⌉, C)."""
        x = x.permute(0, 3, 1, 2)  # (B, C_in, side, side), as torch-pruning wants slices
        if self.odd:
            x = functional.pad(x, (0, 1, 0, 1))
        quarters = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = torch.cat(quarters, dim=1).permute(0, 2, 3, 1)  # (B, ⌈side/2⌉, ⌈side/2⌉, 4 · C_in)
        x = self.reduce(self.norm(x))
        return x


@outlined
class Stage(nn.Module):
    """Patch merging, but for the first stage, and blocks whose windows are shifted in turn."""

    def __init__(
        self,
        stage: Mapping[str, Any],
        grids: tuple[Grid, Grid],
        *,
        merging: nn.Module | None,
        head_width: int,
    ) -> None:
        super().__init__()
        width, hidden = stage["width"], stage["mlp_ratio"] * stage["width"]
        shape = AttentionShape(width, stage["heads"], head_width, head_width)
        if merging is not None:
            self.merging = merging
        self.blocks = nn.Sequential()
        for index in range(stage["depth"]):
            attention = WindowAttention(shape, grids[index % 2])
            self.blocks.append(TransformerBlock(attention, Mlp(width, hidden), width, eps=EPS))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C_in) → (B, H/2, W/2, C); H and W stay in the first stage."""
        for part in self.children():
            x = part(x)
        return x


class Swin(nn.Module):
    """Patches, stages, norm, mean over tokens, classifier."""

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, image: ImageShape, *, classes: int
    ) -> None:
        super().__init__()
        patch, window, stages = (architecture[part] for part in ("patch", "window", "stages"))
        self.resize = image.resize()
        width = stages[0]["width"]
        self.embedding = PatchEmbedding(image.in_channels, width, patch)
        self.stages = nn.Sequential()
        side = image.side // patch
        for index, stage in enumerate(stages):
            merging = PatchMerging(width, stage["width"], odd=side % 2 == 1) if index else None
            side = -(-side // 2) if index else side
            width = stage["width"]
            even, odd = (Grid.fitted(side, window, shifted=shifted) for shifted in (False, True))
            self.stages.append(
                Stage(stage, (even, odd), merging=merging, head_width=table.head_width)
            )
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.classifier = nn.Linear(width, classes)
        self.apply(partial(_initialise, deviation=table.deviation))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.embedding(self.resize(x))  # (B, H/4, W/4, C1); H/2 in the small preset
        x = self.stages(x)  # (B, H/32, W/32, C4); (B, H/8, W/8, C3) in the small preset
        x = self.norm(x).flatten(1, 2).mean(1)  # (B, C4)
        x = self.classifier(x)
        return x


class SwinSpace(Family[Table]):
    """Width, depth, heads and MLP ratio of each stage; window, patch and image size."""

    name = "swin"
    tables = TABLES

    def ask(self, trial: Trial) -> dict[str, Any]:
        """Larger patches are a choice at the whole image size only: both leave few tokens."""
        table = self.table
        resolution = self.ask_resolution(trial)
        patch = table.patches[0]
        if resolution == 1.0:
            patch = choose(trial, "patch", table.patches)
        coarse = resolution < 1.0 or patch > table.patches[0]
        window = (
            choose(trial, "coarse_window", table.coarse_windows)
            if coarse
            else choose(trial, "window", table.windows)
        )
        stages = [self._suggest_stage(trial, index) for index in range(len(table.stages))]
        return {"resolution": resolution, "patch": patch, "window": window, "stages": stages}

    def _suggest_stage(self, trial: Trial, index: int) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        return {
            "width": table.width.ask(trial, f"{name}.width"),
            "depth": table.depth.ask(trial, f"{name}.depth"),
            "heads": table.heads.ask(trial, f"{name}.heads"),
            "mlp_ratio": choose(trial, f"{name}.mlp_ratio", self.table.mlp_ratios),
        }

    def classifier(
        self, architecture: Mapping[str, Any], image: ImageShape, classes: int
    ) -> nn.Module:
        """The network that `architecture` describes."""
        return Swin(architecture, self.table, image, classes=classes)

    def least_side(self, architecture: Mapping[str, Any]) -> int:
        """Of less, the last stage has no windows."""
        return self.table.least

    def side_step(self, architecture: Mapping[str, Any]) -> int:
        """A patch."""
        patch: int = architecture["patch"]
        return patch

    def published(self) -> Mapping[str, Published]:
        """B, S and T, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def pretrained(self) -> Mapping[str, Checkpoint]:
        """By timm and the authors, and of torchvision."""
        return PRETRAINED if self.preset == "full" else {}

    def translate(self, state: Mapping[str, Tensor], naming: str) -> dict[str, Tensor]:
        """From timm's names, the authors' and torchvision's."""
        return translate_swin(state, naming, head_width=self.table.head_width)

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The query, key and value projections, whose outputs belong to heads."""
        return fused_projections(network)

    def share(
        self, name: str, full: tuple[int, ...], wanted: tuple[int, ...]
    ) -> tuple[Part, ...] | None:
        """The centre of a table of positions, and the channels of each of four merged tokens."""
        if name.endswith(".bias.table"):
            return share_bias(full, wanted)
        if ".merging." in name:
            *rows, columns = (slice(0, count) for count in wanted)
            return (*rows, columns if full[-1] == wanted[-1] else segments(full[-1], wanted[-1], 4))
        return None


def _initialise(module: nn.Module, *, deviation: float | None) -> None:
    """Linear weights only; what else there is keeps its layer's own start."""
    if not isinstance(module, nn.Linear):
        return
    if deviation is None:
        nn.init.xavier_uniform_(module.weight)
    else:
        nn.init.trunc_normal_(module.weight, std=deviation)
    if module.bias is not None:
        nn.init.zeros_(module.bias)


PAPER = "Liu et al. 2021, arXiv:2103.14030"


def _published_full() -> dict[str, Published]:
    source = f"{PAPER}, table 1; microsoft/Swin-Transformer"
    t = _choices((96, 192, 384, 768), (2, 2, 6, 2), (3, 6, 12, 24)) | {"patch": 4, "window": 7}
    s = t | {"stages.2.depth": 18}
    b = _choices((128, 256, 512, 1024), (2, 2, 18, 2), (4, 8, 16, 32)) | {"patch": 4, "window": 7}
    return {
        "b": Published(b, 224, source, 87_768_224, 15_430_946_816, 83.5),
        "s": Published(s, 224, source, 49_606_258, 8_740_875_264, 83.2),
        "t": Published(t, 224, source, 28_288_354, 4_490_566_656, 81.2),
    }


def _choices(
    widths: tuple[int, ...], depths: tuple[int, ...], heads: tuple[int, ...]
) -> dict[str, Any]:
    ratios = (4,) * len(widths)
    return {
        "resolution": 1.0,
        **by_stage(width=widths, depth=depths, heads=heads, mlp_ratio=ratios),
    }


def _published_small() -> dict[str, Published]:
    how = (
        "patches of 2 px, windows of 4×4 tokens, heads of 8 channels, three "
        "stages at 16×16, 8×8 and 4×4 tokens, a sixth to a quarter of the width"
    )
    points = {
        "b": _choices((24, 48, 96), (1, 2, 2), (3, 6, 12)),
        "s": _choices((16, 32, 64), (2, 2, 2), (2, 4, 8)),
        "t": _choices((16, 32, 64), (1, 2, 1), (2, 4, 8)),
    }
    points = {name: choices | {"patch": 2, "window": 4} for name, choices in points.items()}
    return scaled(PAPER, how, points)
