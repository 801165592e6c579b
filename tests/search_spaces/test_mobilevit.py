"""What the suite cannot see of MobileViT: patches, and which weights a narrow network takes."""

from __future__ import annotations

import pytest
import torch
from orchestrator_spaces.mobilevit import MobileViTSpace, Patches

from orchestrator import segments


@pytest.mark.parametrize(("patch", "side"), [(1, 5), (2, 4), (4, 8)])
def test_patches_come_back_as_the_map_they_were(patch, side):
    x = torch.randn(2, 3, side, side)
    patches = Patches(patch)
    tokens = patches(x)
    assert tokens.shape == (2 * patch**2, (side // patch) ** 2, 3)
    assert torch.equal(patches.back(tokens, side, side), x)
    # One sequence has the same place of every patch.
    assert torch.equal(tokens[0].T, x[0, :, ::patch, ::patch].flatten(1))


def test_an_odd_map_is_resized_to_even_and_back():
    patches, x = Patches(2), torch.full((1, 3, 7, 7), 2.0)
    tokens = patches(x)
    assert tokens.shape == (4, 16, 3)
    assert torch.allclose(patches.back(tokens, 7, 7), x)


def test_narrower_heads_are_the_first_part_of_each_head():
    layer = "stages.2.mobilevit.layers.0.attention.heads2"
    share = MobileViTSpace().share
    assert share(f"{layer}.qkv.weight", (24, 8), (12, 4)) == (segments(24, 12, 6), slice(4))
    assert share(f"{layer}.qkv.bias", (24,), (12,)) == (segments(24, 12, 6),)
    assert share(f"{layer}.project.weight", (8, 8), (4, 4)) == (slice(4), (0, 1, 4, 5))
    assert share(f"{layer}.project.bias", (8,), (4,)) is None


def test_a_narrower_fusion_takes_the_first_channels_of_both_inputs():
    name = "stages.2.mobilevit.fuse.conv.weight"
    parts = MobileViTSpace().share(name, (4, 8, 3, 3), (2, 4, 1, 1))
    assert parts == (slice(2), (0, 1, 4, 5), slice(1, 2), slice(1, 2))
