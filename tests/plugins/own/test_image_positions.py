"""A network of one's own starts from what it learnt of images of another size."""

from __future__ import annotations

import own_networks
import pytest
import torch
from orchestrator_own.space import OwnNetwork

from orchestrator.errors import SharingError
from orchestrator.pretrained.starting import StartingWeights
from orchestrator.records import Credit, Genotype
from orchestrator.trials import FixedTrial

CREDIT = Credit("own", "original", "unknown", "me", "own", "", "")


def started(name, side, *, trained):
    """The network at `side` pixels, having started from `trained`."""
    space = OwnNetwork(network=f"own_networks:{name}", image_size=side)
    choices = space.published()["original"].choices
    genotype = Genotype(space.name, space.preset, space.suggest(FixedTrial(choices)))
    tensors = {name: tensor.detach() for name, tensor in trained.state_dict().items()}
    network = getattr(own_networks, name)(10, 3, side)
    StartingWeights(space, tensors, CREDIT, genotype, (3, side, side)).give(network)
    return network


@pytest.mark.parametrize("side", [32, 96])
def test_positions_are_those_of_the_same_places_in_images_of_another_size(side):
    trained = own_networks.narrow_vit(10, 3, 64)
    with torch.no_grad():  # each patch knows how far down it lies, from 0 to 1
        down = (torch.arange(8) + 0.5) / 8
        trained.pos_embed[:, 0] = 7.0
        trained.pos_embed[:, 1:] = down.repeat_interleave(8)[None, :, None]
    found = started("narrow_vit", side, trained=trained).pos_embed
    grid = side // 8
    expected = ((torch.arange(grid) + 0.5) / grid).repeat_interleave(grid)
    assert torch.all(found[:, 0] == 7.0)
    inside = (expected > 0.2) & (expected < 0.8)  # bicubic weights bend at the rim
    assert torch.allclose(found[0, 1:, 0][inside], expected[inside], atol=0.03)


def test_what_goes_by_the_image_size_otherwise_is_refused_and_says_what_to_set():
    trained = own_networks.sized(10, 3, 64)
    with pytest.raises(SharingError, match=r"Set dataset\.image_size"):
        started("sized", 32, trained=trained)
