"""Attention is sparse, its answer reaches every place, and heads of two widths share nothing."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.transformer import AttentionShape
from orchestrator_spaces.edgevit import (
    BlockShape,
    EdgeViTSpace,
    LocalGlobalLocal,
    SparseAttention,
)

from orchestrator.trials import FixedTrial


def block(side: int, rate: int) -> BlockShape:
    return BlockShape(AttentionShape(6, 2, 3, 3), hidden=12, kernel=5, rate=rate, side=side)


@pytest.mark.parametrize(("side", "rate"), [(8, 4), (5, 2), (3, 4)])
def test_attention_sees_the_first_token_of_each_window_and_answers_to_all(side, rate):
    x = torch.randn(1, side, side, 6, requires_grad=True)
    mixed = SparseAttention(block(side, rate))(x)
    assert mixed.shape == x.shape
    mixed.square().sum().backward()
    seen = torch.zeros(side, side, dtype=torch.bool)
    seen[::rate, ::rate] = True
    assert torch.equal(x.grad[0].abs().sum(-1) > 0, seen)


def test_where_attention_sees_all_nothing_is_local():
    names = {name.split(".")[0] for name, _ in LocalGlobalLocal(block(4, 1)).named_parameters()}
    assert names == {"position", "block"}


def test_heads_of_two_widths_have_no_weight_in_common():
    space = EdgeViTSpace()
    choices = space.published()["xxs-small"].choices
    names = []
    for width in (8, 16):
        architecture = space.suggest(FixedTrial({**choices, "head_width": width}))
        network = fresh(space, architecture, classes=10, in_channels=1, image_size=32)
        names.append({name for name, _ in network.named_parameters() if ".attention." in name})
    assert names[0]
    assert not names[0] & names[1]
