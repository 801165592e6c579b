"""EfficientFormer and a space around it.

Li et al., "EfficientFormer: Vision Transformers at MobileNet Speed", 2022, arXiv:2206.01191, and
the authors' code (snap-research/EfficientFormer). The space is that of the paper's slimming:
width and depth of each stage and where blocks on maps (MB4D, pooling) give way to blocks on
tokens (MB3D, attention), in the last two stages only; once on tokens, always on tokens. Added:
the MLP ratio of a stage and the number of heads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import Published, SearchSpace, Trial
from orchestrator.errors import BuildError
from orchestrator_spaces.blocks.convolution import ConvNorm
from orchestrator_spaces.blocks.questions import Range

__all__ = ["EfficientFormer", "EfficientFormerSpace"]


@dataclass(frozen=True)
class StageTable:
    """What one stage may be: its width and how many blocks of each kind it has."""

    width: Range
    mb4d: Range
    mb3d: Range | None = None


@dataclass(frozen=True)
class Table:
    """What a preset may be. The stem has two convolutions, a later stage begins with one."""

    stages: tuple[StageTable, ...]
    stem_strides: tuple[int, int]
    stage_strides: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    heads: tuple[int, ...]
    key_width: int
    value_width: int
    layer_scale: float
    distillation_head: bool


FULL = Table(
    stages=(
        StageTable(Range(32, 96, 16), Range(1, 6)),
        StageTable(Range(64, 192, 16), Range(1, 6)),
        StageTable(Range(144, 384, 16), Range(2, 18), Range(0, 6)),
        StageTable(Range(288, 768, 16), Range(0, 6), Range(0, 8)),
    ),
    stem_strides=(2, 2),
    stage_strides=(1, 2, 2, 2),
    mlp_ratios=(2, 3, 4),
    heads=(4, 8),
    key_width=32,
    value_width=128,
    layer_scale=1e-5,
    distillation_head=True,
)

# 32×32 in: 16×16 after the stem, then 16×16, 8×8, 4×4 and 4×4, which leaves 16 tokens.
SMALL = Table(
    stages=(
        StageTable(Range(16, 24, 8), Range(1, 1)),
        StageTable(Range(24, 40, 8), Range(1, 2)),
        StageTable(Range(32, 64, 16), Range(1, 3), Range(0, 2)),
        StageTable(Range(48, 96, 16), Range(0, 2), Range(0, 2)),
    ),
    stem_strides=(2, 1),
    stage_strides=(1, 2, 2, 1),
    mlp_ratios=(2, 3, 4),
    heads=(2, 4),
    key_width=16,
    value_width=32,
    # Eight epochs are too few to grow a scale from 1e-5.
    layer_scale=0.1,
    distillation_head=False,
)


class LayerScale(nn.Module):
    """One learned factor a channel; `shape` is (C, 1, 1) for maps or (C,) for tokens."""

    def __init__(self, shape: tuple[int, ...], initial: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full(shape, initial))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * self.scale


class PoolMixer(nn.Module):
    """Mean of the 3×3 neighbours minus the centre; padding is not averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        return self.pool(x) - x  # type: ignore[no-any-return]


class MB4D(nn.Module):
    """A block on maps: pooling, then an MLP of 1×1 convolutions."""

    def __init__(self, width: int, ratio: int, *, layer_scale: float) -> None:
        super().__init__()
        self.mixer = PoolMixer()
        self.mixer_scale = LayerScale((width, 1, 1), layer_scale)
        self.mlp = nn.Sequential(
            ConvNorm(width, ratio * width, 1, bias=True, activation=nn.GELU()),
            ConvNorm(ratio * width, width, 1, bias=True),
        )
        self.mlp_scale = LayerScale((width, 1, 1), layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        x = x + self.mixer_scale(self.mixer(x))
        return x + self.mlp_scale(self.mlp(x))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Attention over a side × side map's tokens, with a learned bias for each distance.

    Keys are narrower than values. One projection holds query, key and value head by head, so that
    its leading outputs are the first heads.
    """

    offsets: Tensor

    def __init__(self, width: int, side: int, heads: int, table: Table) -> None:
        super().__init__()
        self.heads = heads
        self.widths = [table.key_width, table.key_width, table.value_width]
        self.scale = table.key_width**-0.5
        self.qkv = nn.Linear(width, heads * sum(self.widths))
        self.project = nn.Linear(heads * table.value_width, width)
        self.bias = nn.Parameter(torch.zeros(heads, side * side))
        self.register_buffer("offsets", _offsets(side), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → the same, N = side²."""
        qkv = self.qkv(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, 2k + v)
        query, key, value = qkv.split(self.widths, dim=-1)
        scores = (query * self.scale) @ key.transpose(-2, -1)  # (B, heads, N, N)
        scores = scores + self.bias[:, self.offsets]
        x = scores.softmax(dim=-1) @ value  # (B, heads, N, v)
        return self.project(x.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class MB3D(nn.Module):
    """A block on tokens: attention, then an MLP."""

    def __init__(self, attention: Attention, width: int, ratio: int, *, layer_scale: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = attention
        self.attention_scale = LayerScale((width,), layer_scale)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
        )
        self.mlp_scale = LayerScale((width,), layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → the same."""
        x = x + self.attention_scale(self.attention(self.attention_norm(x)))
        return x + self.mlp_scale(self.mlp(self.mlp_norm(x)))  # type: ignore[no-any-return]


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
        return x.transpose(1, 2).unflatten(2, (self.side, self.side))  # type: ignore[no-any-return, no-untyped-call]


class Stage(nn.Module):
    """An optional downsampling convolution, blocks on maps, then blocks on tokens."""

    def __init__(
        self,
        architecture: Mapping[str, Any],
        table: Table,
        *,
        downsample: nn.Module | None,
        heads: int,
        side: int,
    ) -> None:
        super().__init__()
        width, ratio = architecture["width"], architecture["mlp_ratio"]
        scale = table.layer_scale
        if downsample is not None:
            self.downsample = downsample
        self.mb4d = nn.Sequential(
            *(MB4D(width, ratio, layer_scale=scale) for _ in range(architecture["mb4d"]))
        )
        if architecture["mb3d"]:
            attentions = (Attention(width, side, heads, table) for _ in range(architecture["mb3d"]))
            blocks = (MB3D(each, width, ratio, layer_scale=scale) for each in attentions)
            self.mb3d = TokenBlocks(blocks, side)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, C, side, side)."""
        for part in self.children():
            x = part(x)
        return x


class EfficientFormer(nn.Module):
    """Stem, four stages, norm, mean over tokens, one or two classifiers whose mean is the answer.

    Training sees the mean of both classifiers too.
    """

    def __init__(
        self, architecture: Mapping[str, Any], table: Table, *, classes: int, shape: tuple[int, int]
    ) -> None:
        super().__init__()
        in_channels, side = shape
        stages = architecture["stages"]
        width, heads = stages[0]["width"], architecture["heads"]
        first, second = table.stem_strides
        self.stem = nn.Sequential(
            ConvNorm(
                in_channels,
                width // 2,
                3,
                stride=first,
                bias=True,
                activation=nn.ReLU(inplace=True),
            ),
            ConvNorm(
                width // 2, width, 3, stride=second, bias=True, activation=nn.ReLU(inplace=True)
            ),
        )
        side = _strided(_strided(side, first), second)
        self.stages = nn.Sequential()
        for index, (stage, stride) in enumerate(zip(stages, table.stage_strides, strict=True)):
            side = _strided(side, stride)
            downsample = (
                ConvNorm(width, stage["width"], 3, stride=stride, bias=True) if index else None
            )
            width = stage["width"]
            self.stages.append(Stage(stage, table, downsample=downsample, heads=heads, side=side))
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes)
        if architecture["distillation_head"]:
            self.distillation_classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.stem(x)  # (B, C1, H/4, W/4); H/2 in the small preset
        x = self.stages(x)  # (B, C4, H/32, W/32); H/8 in the small preset
        x = self.norm(x.flatten(2).transpose(1, 2))  # (B, N, C4)
        x = x.mean(1)
        logits = self.classifier(x)
        if hasattr(self, "distillation_classifier"):
            logits = (logits + self.distillation_classifier(x)) / 2
        return logits  # type: ignore[no-any-return]


class EfficientFormerSpace(SearchSpace):
    """Width, MLP ratio, blocks on maps and blocks on tokens of each stage; the number of heads."""

    name = "efficientformer"

    def __init__(self, *, preset: str = "small") -> None:
        super().__init__(preset=preset)
        self.table = {"full": FULL, "small": SMALL}[preset]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Stages, heads and, in the full preset, whether there is a distillation head."""
        stages: list[dict[str, Any]] = []
        on_tokens = False
        for index in range(len(self.table.stages)):
            stages.append(self._suggest_stage(trial, index, on_tokens=on_tokens))
            on_tokens = on_tokens or stages[-1]["mb3d"] > 0
        heads = trial.suggest_categorical("heads", list(self.table.heads)) if on_tokens else 0
        distilled = self.table.distillation_head and trial.suggest_categorical(
            "distillation_head", [False, True]
        )
        return {"stages": stages, "heads": heads, "distillation_head": distilled}

    def _suggest_stage(self, trial: Trial, index: int, *, on_tokens: bool) -> dict[str, Any]:
        table, name = self.table.stages[index], f"stages.{index}"
        width = table.width.ask(trial, f"{name}.width")
        mb4d = 0 if on_tokens else _ask(trial, f"{name}.mb4d", table.mb4d)
        mb3d = _ask(trial, f"{name}.mb3d", table.mb3d)
        ratio = 0
        # A stage may be no more than its downsampling convolution.
        if mb4d + mb3d:
            ratio = trial.suggest_categorical(f"{name}.mlp_ratio", list(self.table.mlp_ratios))
        return {"width": width, "mb4d": mb4d, "mb3d": mb3d, "mlp_ratio": ratio}

    def build(
        self, architecture: Mapping[str, Any], *, classes: int, in_channels: int, image_size: int
    ) -> nn.Module:
        """Raises BuildError for images smaller than the network's total stride."""
        total = 1
        for stride in (*self.table.stem_strides, *self.table.stage_strides):
            total *= stride
        if image_size < total:
            raise BuildError(f"images of {image_size} px found, at least {total} px expected.")
        shape = (in_channels, image_size)
        return EfficientFormer(architecture, self.table, classes=classes, shape=shape)

    def published(self) -> Mapping[str, Published]:
        """L1, L3 and L7, or in the small preset what remains of them at 32×32."""
        return _published_full() if self.preset == "full" else _published_small()

    def fixed_layers(self, network: nn.Module) -> Iterable[nn.Module]:
        """The query, key and value projections, whose outputs belong to heads."""
        return [module.qkv for module in network.modules() if isinstance(module, Attention)]


def _ask(trial: Trial, name: str, count: Range | None) -> int:
    if count is None:
        return 0
    return count.low if count.low == count.high else count.ask(trial, name)


def _strided(side: int, stride: int) -> int:
    return -(-side // stride)


def _offsets(side: int) -> Tensor:
    """(N, N) indices into a table of side² entries, by |Δrow| and |Δcolumn| of two tokens."""
    place = torch.arange(side)
    distance = (place[:, None] - place[None, :]).abs()
    rows = distance.repeat_interleave(side, 0).repeat_interleave(side, 1)
    columns = distance.repeat(side, side)
    return rows * side + columns


PAPER = "Li et al. 2022, arXiv:2206.01191"


def _published_full() -> dict[str, Published]:
    l1 = _choices((48, 96, 224, 448), (3, 2, 6, 3), 1)
    l3 = _choices((64, 128, 320, 512), (4, 4, 12, 2), 4)
    l7 = _choices((96, 192, 384, 768), (6, 6, 18, 0), 8)
    both, one = {"distillation_head": True}, {"distillation_head": False}
    code = f"{PAPER}; snap-research/EfficientFormer"
    plain = f"{code}, without the distillation head (no published accuracy)"
    return {
        "l7": Published(l7 | both, 224, code, 82_229_328, 10_119_325_696, 83.3),
        "l3": Published(l3 | both, 224, code, 31_406_000, 3_906_573_312, 82.4),
        "l1": Published(l1 | both, 224, code, 12_289_928, 1_291_284_736, 79.2),
        "l7-plain": Published(l7 | one, 224, plain, 81_460_328, 10_118_557_696),
        "l3-plain": Published(l3 | one, 224, plain, 30_893_000, 3_906_061_312),
        "l1-plain": Published(l1 | one, 224, plain, 11_840_928, 1_290_836_736),
    }


def _choices(widths: tuple[int, ...], mb4d: tuple[int, ...], mb3d: int) -> dict[str, Any]:
    choices: dict[str, Any] = {"stages.2.mb3d": 0, "stages.3.mb3d": mb3d, "heads": 8}
    for index, (width, depth) in enumerate(zip(widths, mb4d, strict=True)):
        choices[f"stages.{index}.width"] = width
        choices[f"stages.{index}.mb4d"] = depth
        choices[f"stages.{index}.mlp_ratio"] = 4
    return choices


def _published_small() -> dict[str, Published]:
    points = {
        "l7-small": _choices((24, 40, 64, 96), (1, 2, 3, 0), 2),
        "l3-small": _choices((16, 32, 48, 80), (1, 2, 2, 1), 2),
        "l1-small": _choices((16, 24, 48, 64), (1, 1, 2, 1), 1),
    }
    for choices in points.values():
        del choices["stages.0.mb4d"]
        choices["heads"] = 4
    source = (
        f"scaled from {PAPER}: about a sixth of the width and a third of the depth; stages "
        "at 16×16, 8×8, 4×4, 4×4"
    )
    return {name: Published(choices, 32, source) for name, choices in points.items()}
