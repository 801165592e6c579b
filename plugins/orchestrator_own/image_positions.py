"""Tables of what stands where in an image, for images of another size."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["positions_at"]

# Beside patches: none, a class token, and DeiT's token that learns from a teacher.
_TOKENS = (0, 1, 2)


def positions_at(table: Tensor, shape: Sequence[int], other: Sequence[int]) -> Tensor | None:
    """A table of positions as an image of another size has it; None where it is not known as one.

    `other` are the dimensions in which the size tells: the second of (1, tokens, C), where a square
    grid of patches lies row by row behind the other tokens, or the last two of (1, C, H, W). The
    rest of `table` keeps its own sizes. Bicubic, as DeiT's authors do.
    """
    if table.dim() == 4 and table.shape[0] == 1 and set(other) <= {2, 3}:
        return _at(table, (shape[2], shape[3]))
    if table.dim() != 3 or table.shape[0] != 1 or list(other) != [1]:
        return None
    for tokens in _TOKENS:
        ours, theirs = (isqrt(max(0, count - tokens)) for count in (table.shape[1], shape[1]))
        if (ours**2 + tokens, theirs**2 + tokens) == (table.shape[1], shape[1]) and ours and theirs:
            grid = torch.unflatten(table[:, tokens:].transpose(1, 2), 2, (ours, ours))
            moved = _at(grid, (theirs, theirs)).flatten(2).transpose(1, 2)
            return torch.cat([table[:, :tokens], moved], 1).contiguous()
    return None


def _at(grid: Tensor, sides: tuple[int, int]) -> Tensor:
    return functional.interpolate(grid, sides, mode="bicubic", antialias=True)
