"""Windows are where the paper puts them, and smaller networks use the right part of the weights."""

from __future__ import annotations

import pytest
import torch
from orchestrator_spaces.blocks.transformer import AttentionShape
from orchestrator_spaces.blocks.window_attention import Grid, WindowAttention, share_bias
from orchestrator_spaces.swin import PatchMerging, SwinSpace
from torch import nn

SHAPE = AttentionShape(width=6, heads=2, key_width=3, value_width=3)


def dense(layer: WindowAttention, x: torch.Tensor) -> torch.Tensor:
    """The same attention from its definition: every token with all of its window, one by one."""
    grid, inner = layer.grid, layer.attention
    rows, columns = torch.arange(grid.side**2) // grid.side, torch.arange(grid.side**2) % grid.side
    window = torch.stack([(place - grid.shift) // grid.window for place in (rows, columns)])
    together = (window[:, :, None] == window[:, None, :]).all(0)
    down, right = rows[:, None] - rows, columns[:, None] - columns
    centre, reach = grid.window - 1, (1 - grid.window, grid.window - 1)
    bias = inner.bias.table[0, :, down.clamp(*reach) + centre, right.clamp(*reach) + centre]
    qkv = inner.qkv(x.flatten(1, 2)).unflatten(-1, (2, 9)).transpose(1, 2)
    query, key, value = qkv.split(3, dim=-1)
    scores = query @ key.transpose(-2, -1) * 3**-0.5 + bias
    scores = scores.masked_fill(~together, -torch.inf).softmax(-1)
    mixed = inner.project((scores @ value).transpose(1, 2).flatten(2))
    return mixed.unflatten(1, (grid.side, grid.side))


@pytest.mark.parametrize("grid", [Grid(8, 4), Grid(8, 4, 2), Grid(9, 3, 1), Grid(5, 5)])
def test_attention_reaches_as_far_as_the_window(grid):
    layer = WindowAttention(SHAPE, grid)
    nn.init.normal_(layer.attention.bias.table)
    x = torch.randn(2, grid.side, grid.side, 6)
    torch.testing.assert_close(layer(x), dense(layer, x), atol=1e-5, rtol=1e-4)


def test_a_map_that_windows_do_not_divide_is_padded_with_zeros():
    narrow, wide = WindowAttention(SHAPE, Grid(5, 4)), WindowAttention(SHAPE, Grid(8, 4))
    narrow.load_state_dict(wide.state_dict())
    x = torch.randn(2, 5, 5, 6)
    padded = torch.zeros(2, 8, 8, 6)
    padded[:, :5, :5] = x
    torch.testing.assert_close(narrow(x), wide(padded)[:, :5, :5])


def test_a_map_no_larger_than_the_window_is_one_window_without_shift():
    assert Grid.fitted(4, 7, shifted=True) == Grid(4, 4)
    assert Grid.fitted(7, 7, shifted=True) == Grid(7, 7)
    assert Grid.fitted(8, 7, shifted=True) == Grid(8, 7, 3)


def test_a_small_window_has_the_bias_of_the_same_offsets():
    small, large = (WindowAttention(SHAPE, Grid(8, size)).attention.bias for size in (2, 4))
    part = share_bias(tuple(large.table.shape), tuple(small.table.shape))
    small.table.data = large.table.data[part]
    # Tokens 0, 1, 4 and 5 of a window of 4 × 4 are its first 2 × 2.
    first = torch.tensor([0, 1, 4, 5])
    assert torch.equal(small(), large()[:, first][:, :, first])


def test_merging_few_channels_uses_their_columns_in_each_of_the_four_tokens():
    few, many = (PatchMerging(width, 4, odd=True) for width in (2, 6))
    few.norm = many.norm = nn.Identity()  # type: ignore[assignment]
    full, wanted = (tuple(merging.reduce.weight.shape) for merging in (many, few))
    part = SwinSpace().share("stages.1.merging.reduce.weight", full, wanted)
    assert part is not None
    rows, columns = part
    few.reduce.weight.data = many.reduce.weight.data[rows][:, list(columns)]
    x = torch.randn(2, 5, 5, 2)
    wide = torch.cat((x, torch.zeros(2, 5, 5, 4)), dim=-1)
    torch.testing.assert_close(few(x), many(wide))
