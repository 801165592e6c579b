"""Trained positions serve networks whose images are cut into another number of patches."""

from __future__ import annotations

import pytest
import torch
from orchestrator_spaces.blocks.vision_transformer import resampled_positions
from starts import FACTS, member, network_of, space_of, start_of

from orchestrator import ImageFacts


def plane(side):
    """(1, side², 2): row and column of each place's centre, as shares of the image."""
    place = (torch.arange(side) + 0.5) / side
    return torch.cartesian_prod(place, place)[None]


@pytest.mark.parametrize("side", [4, 8, 14])
def test_a_plane_of_positions_is_the_same_plane_on_another_grid(side):
    found = resampled_positions(plane(14), side)
    inner = slice(1, side - 1)  # at the edge, a bicubic filter sees but half of its neighbours
    both = (each.view(side, side, 2)[inner, inner] for each in (found, plane(side)))
    torch.testing.assert_close(*both, atol=0.01, rtol=0)


@pytest.mark.parametrize("family", ["vit", "deit"])
def test_a_network_for_other_images_gets_resampled_positions(family, tmp_path):
    space = space_of(family)
    start = start_of(tmp_path, space)
    larger = ImageFacts.unnamed(64, classes=len(FACTS.classes))
    network = network_of(space, member(space), facts=larger, seed=5)
    assert start.give(network) == []
    wide = start.tensors["positions.grid8"]
    assert torch.equal(network.positions["grid16"], resampled_positions(wide, 16))


def test_a_space_makes_nothing_of_what_it_does_not_know():
    space, tensors = space_of("vit"), {"positions.grid8": torch.zeros(1, 64, 8)}
    assert space.derive("embedding.patch8.conv.weight", tensors) is None
    assert space.derive("positions.grid4", {}) is None
    assert space_of("swin").derive("positions.grid4", tensors) is None
