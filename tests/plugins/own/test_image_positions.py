"""A network of one's own starts from what it learnt of images of another size."""

from __future__ import annotations

import own_networks
import pytest
import torch
from orchestrator_own.space import OwnNetwork

from orchestrator import ImageFacts
from orchestrator.errors import SharingError, WeightsError
from orchestrator.pretrained.loading import load_checkpoint
from orchestrator.pretrained.starting import StartingWeights
from orchestrator.records import Credit, Genotype
from orchestrator.trials import FixedTrial

CREDIT = Credit("own", "original", "unknown", "me", "own", "", "")


def start(name, side, trained):
    """What `trained` is to networks at `side` pixels."""
    space = OwnNetwork(network=f"own_networks:{name}", image_size=side)
    choices = space.published()["original"].choices
    genotype = Genotype(space.name, space.preset, space.suggest(FixedTrial(choices)))
    tensors = {name: tensor.detach() for name, tensor in trained.state_dict().items()}
    return StartingWeights(space, tensors, CREDIT, genotype, (3, side, side))


def started(name, side, *, trained):
    """The network at `side` pixels, having started from `trained`."""
    network = getattr(own_networks, name)(10, 3, side)
    start(name, side, trained).give(network)
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


def test_shared_weights_and_buffers_have_them_resampled_too():
    trained = own_networks.narrow_vit(10, 3, 64)
    expected = started("narrow_vit", 32, trained=trained).pos_embed
    begun, network = start("narrow_vit", 32, trained), own_networks.narrow_vit(10, 3, 32)
    assert torch.equal(begun.whole(network)["pos_embed"], expected)
    del network.pos_embed
    network.register_buffer("pos_embed", torch.zeros(1, 17, 48))
    begun.give(network)
    assert torch.equal(network.pos_embed, expected)


def test_what_goes_by_the_image_size_otherwise_is_refused_and_says_what_to_set():
    trained = own_networks.sized(10, 3, 64)
    with pytest.raises(SharingError, match=r"Set dataset\.image_size"):
        started("sized", 32, trained=trained)


def test_a_file_of_a_network_for_larger_images_fits_and_the_search_is_told(tmp_path):
    trained = own_networks.narrow_vit(10, 3, 64)
    torch.save(trained.state_dict(), tmp_path / "mine.pth")
    space = OwnNetwork(network="own_networks:narrow_vit", image_size=32)
    found = load_checkpoint(str(tmp_path / "mine.pth"), space, ImageFacts.unnamed(32))
    assert found.tensors["pos_embed"].shape == (1, 17, 48)
    assert torch.equal(found.tensors["pos_embed"][:, 0], trained.pos_embed[:, 0])
    assert "pos_embed are resampled" in found.notes[0]
    with pytest.raises(WeightsError, match=r"patch.*\(48, 3, 8, 8\)"):
        load_checkpoint(_other_patches(tmp_path), space, ImageFacts.unnamed(32))


def _other_patches(folder):
    """A file whose network no size of images explains."""
    other = own_networks.VisionTransformer(10, 3, 64, dim=48, heads=3, depth=4, patch=4)
    torch.save(other.state_dict(), folder / "other.pth")
    return str(folder / "other.pth")
