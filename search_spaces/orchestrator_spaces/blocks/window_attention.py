"""Attention inside the windows of a map, every second time with shifted windows.

Liu et al., "Swin Transformer", 2021, arXiv:2103.14030, section 3.2. Where windows do not divide a
map, it is padded with zeros below and to the right, as in the authors' detection code
(SwinTransformer/Swin-Transformer-Object-Detection).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import Part, outlined
from orchestrator_spaces.blocks.transformer import AttentionShape, MultiHeadAttention, ScoreBias

__all__ = ["Grid", "PositionBias", "WindowAttention", "merge", "partition", "share_bias"]

# Added to the scores between tokens that are no neighbours but for the roll; as published.
APART = -100.0
# Deviation of the initial bias; as published.
DEVIATION = 0.02


@dataclass(frozen=True)
class Grid:
    """Windows of `window` × `window` tokens on a side × side map.

    `shift` is how many tokens the windows are moved down and to the right.
    """

    side: int
    window: int
    shift: int = 0

    @classmethod
    def fitted(cls, side: int, window: int, *, shifted: bool) -> Grid:
        """A map no larger than the window is one window, which nothing shifts."""
        if side <= window:
            return cls(side, side)
        return cls(side, window, window // 2 if shifted else 0)

    @property
    def count(self) -> int:
        """Windows along a side of the padded map."""
        return -(-self.side // self.window)

    @property
    def padded(self) -> int:
        """The side with padding."""
        return self.count * self.window


def partition(x: Tensor, grid: Grid) -> Tensor:
    """(B, padded, padded, C) → (B, count², window², C)."""
    split = (grid.count, grid.window)
    x = torch.unflatten(torch.unflatten(x, 2, split), 1, split)
    # (B, count, window, count, window, C)
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def merge(x: Tensor, grid: Grid) -> Tensor:
    """(B, count², window², C) → (B, padded, padded, C)."""
    x = torch.unflatten(torch.unflatten(x, 1, (grid.count, -1)), 3, (grid.window, -1))
    # (B, count, count, window, window, C)
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


@outlined
class PositionBias(ScoreBias):
    """A learned bias for each head and each offset between two tokens of a window.

    Offset (0, 0) is the centre of the table, so that a smaller window's table is a larger one's
    centre. Where windows are shifted, tokens from opposite edges of the map are kept apart.
    """

    offsets: Tensor
    apart: Tensor

    def __init__(self, heads: int, grid: Grid) -> None:
        super().__init__()
        span = 2 * grid.window - 1
        # The leading 1 keeps torch-pruning from taking the table for a class token: before such a
        # parameter, it no longer follows channels through concatenations.
        self.table = nn.Parameter(torch.empty(1, heads, span, span))
        nn.init.trunc_normal_(self.table, std=DEVIATION)
        self.register_buffer("offsets", _offsets(grid.window), persistent=False)
        self.shifted = grid.shift > 0
        if self.shifted:
            self.register_buffer("apart", _apart(grid), persistent=False)

    def forward(self) -> Tensor:
        """(heads, window², window²); with shifted windows (count², heads, window², window²)."""
        bias = self.table[0].flatten(1)[:, self.offsets]
        return bias + self.apart if self.shifted else bias

    def by_head(self) -> nn.Module:
        """The table as (heads, 1, span, span)."""
        return nn.ParameterList([self.table.detach().transpose(0, 1)])


@outlined
class WindowAttention(nn.Module):
    """Multi-head attention among the tokens of each window."""

    def __init__(self, shape: AttentionShape, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        self.attention = MultiHeadAttention(shape, bias=PositionBias(shape.heads, grid))

    def forward(self, x: Tensor) -> Tensor:
        """(B, side, side, C) → the same."""
        grid = self.grid
        rest = grid.padded - grid.side
        if rest:
            x = functional.pad(x, (0, 0, 0, rest, 0, rest))  # (B, padded, padded, C)
        if grid.shift:
            x = x.roll((-grid.shift, -grid.shift), (1, 2))
        x = merge(self.attention(partition(x, grid)), grid)
        if grid.shift:
            x = x.roll((grid.shift, grid.shift), (1, 2))
        if rest:
            # A slice would do, but torch-pruning takes one of dimension 1 for a slice of channels.
            x = functional.pad(x, (0, 0, 0, -rest, 0, -rest))  # (B, side, side, C)
        return x

    def extra_repr(self) -> str:
        """The grid, so that networks of two windows are told apart."""
        return f"grid={self.grid}"


def share_bias(full: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Part, ...]:
    """Which part of a `PositionBias.table`: the first heads, the offsets around the centre."""
    spans = (
        slice((long - short) // 2, (long + short) // 2)
        for long, short in zip(full[2:], wanted[2:], strict=True)
    )
    return (slice(0, 1), slice(0, wanted[1]), *spans)


def _offsets(window: int) -> Tensor:
    """(window², window²) places in a flat table: those of a token as seen from another."""
    # Not by torch, which takes seconds at first where tensors have no memory.
    row, column = np.divmod(np.arange(window**2), window)
    rows = row[:, None] - row[None, :] + window - 1
    columns = column[:, None] - column[None, :] + window - 1
    return torch.tensor(rows * (2 * window - 1) + columns)


def _apart(grid: Grid) -> Tensor:
    """(count², 1, window², window²): 0 between tokens of one region, else `APART`.

    Rolling brings the map's first rows and columns behind its last; three bands in each direction
    tell which tokens met only by that.
    """
    place, count, window = np.arange(grid.padded), grid.count, grid.window
    band = (place >= grid.padded - window).astype(int) + (place >= grid.padded - grid.shift)
    regions = (3 * band[:, None] + band).reshape(count, window, count, window)
    region = regions.swapaxes(1, 2).reshape(count**2, window**2)
    apart = (region[:, :, None] != region[:, None, :]) * np.float32(APART)
    return torch.tensor(apart)[:, None]
