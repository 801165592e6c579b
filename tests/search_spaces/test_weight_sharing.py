"""What lets weights be shared: names are roles, and narrow channels are the wide ones' first."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces import orchestrator_search_spaces
from orchestrator_spaces.blocks.attention_bias import AttentionBias
from orchestrator_spaces.blocks.shuffle import Merge, Split
from orchestrator_spaces.blocks.transformer import AttentionShape, MultiHeadAttention

from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

FAMILIES = [offer.name for offer in orchestrator_search_spaces()]


def names_and_ranks(space, seed: int) -> dict[str, int]:
    with torch.device("meta"):
        network = fresh(
            space, space.suggest(RandomTrial(seed)), classes=10, in_channels=3, image_size=32
        )
    return {name: parameter.dim() for name, parameter in network.named_parameters()}


def test_a_shuffled_narrow_network_sees_the_first_channels_of_the_wide_one():
    wide = torch.randn(1, 24, 2, 2), torch.randn(1, 24, 2, 2)
    narrow = wide[0][:, :16], wide[1][:, :16]
    assert torch.equal(Merge()(*narrow), Merge()(*wide)[:, :32])
    for few, many in zip(Split()(narrow[0]), Split()(wide[0]), strict=True):
        assert torch.equal(few, many[:, :8])


def test_halves_hold_as_many_passed_as_changed_channels():
    merged = Merge()(torch.zeros(1, 16, 1, 1), torch.ones(1, 16, 1, 1))
    assert [float(half.mean()) for half in Split()(merged)] == [0.5, 0.5]


@pytest.mark.parametrize("family", FAMILIES)
def test_one_name_has_one_rank_in_every_architecture(family):
    space = installed().create("space", family, {"preset": "small"})
    known: dict[str, int] = {}
    for seed in range(6):
        for name, rank in names_and_ranks(space, seed).items():
            assert known.setdefault(name, rank) == rank, f"{family}: {name}"


def test_fewer_heads_are_the_first_heads():
    four, two = (MultiHeadAttention(AttentionShape(16, heads, 4, 8)) for heads in (4, 2))
    rows = two.qkv.weight.shape[0]
    assert two.qkv.load_state_dict({k: v[:rows] for k, v in four.qkv.state_dict().items()})
    tokens = torch.randn(1, 4, 16)
    assert torch.allclose(two.attend(tokens), four.attend(tokens)[..., : 2 * 8])


@pytest.mark.parametrize("stride", [1, 2])
def test_the_bias_of_a_smaller_map_is_the_corner_of_a_larger_ones(stride):
    small, large = AttentionBias(2, 3, stride=stride), AttentionBias(4, 5, stride=stride)
    large.bias.data.normal_()
    small.bias.data.copy_(large.bias.data[:2, :3, :3])
    # (heads, query row, query column, key row, key column)
    few = small().reshape(2, *(-(-3 // stride),) * 2, 3, 3)
    many = large().reshape(4, *(-(-5 // stride),) * 2, 5, 5)
    queries = few.shape[1]
    assert torch.equal(few, many[:2, :queries, :queries, :3, :3])
    assert torch.equal(few[:, 1, 0, 0, 2], small.bias[:, stride, 2])
