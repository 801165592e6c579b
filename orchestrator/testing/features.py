"""The part of a space's contract suite that is about `features`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from orchestrator.contracts.device import Device
from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.outputs import Classes
from orchestrator.contracts.space import SearchSpace
from orchestrator.records import Architecture
from orchestrator.testing.exporting import compiled_difference, first_device

if TYPE_CHECKING:
    from torch import nn

__all__ = ["check_features"]

# Sizes beside the one asked for, as shares of it: a dense task has larger images, and odd ones.
SHARES = (1, 1.2, 2)


def check_features(
    space: SearchSpace,
    architecture: Architecture,
    facts: ImageFacts,
    *,
    device: Device | None = None,
    seed: int = 0,
) -> None:
    """Raise AssertionError, saying what to mend, unless `architecture` gives maps as promised.

    Shapes are checked at `facts.image_size` and two larger sizes, one of them odd. `device`, by
    default the first one installed, compiles them.
    """
    import torch

    for share in SHARES:
        size = round(share * facts.image_size) | (share % 1 > 0)
        with torch.device("meta"):
            network = space.features(architecture, replace(facts, image_size=size)).eval()
            _check_maps(network, network(torch.empty(2, facts.in_channels, size, size)), size)
    _check_names(space, architecture, facts)
    torch.manual_seed(seed)
    network = space.features(architecture, facts).train()
    _check_weights(space, architecture, facts, network, seed)
    images = torch.randn(3, *facts.shape, generator=torch.Generator().manual_seed(seed))
    sum(answer.square().mean() for answer in network(images)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{name} has no effect on the maps of {architecture}"
    far = compiled_difference(device or first_device(), _joined(network), images)
    assert far < 1e-3, f"the exported maps differ by {far}; does forward fix the batch size?"


def _joined(network: nn.Module) -> nn.Module:
    """All maps in one row, (B, numbers), as a device's networks have one answer."""
    import torch
    from torch import nn

    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.cat([each.flatten(1) for each in self.network(images)], dim=1)

    return Joined()


def _check_maps(network: nn.Module, maps: object, size: int) -> None:
    assert isinstance(maps, tuple) and maps, f"features give a tuple of maps, found {type(maps)}"
    channels, strides, side = (getattr(network, name) for name in ("channels", "strides", "side"))
    assert side <= size, f"images of {size} px are worked at with {side}, expected no more"
    rising = all(before < after for before, after in pairwise(strides))
    assert rising, f"strides rise from map to map, found {strides}"
    found = [tuple(each.shape[1:]) for each in maps]
    wanted = [
        (width, -(-side // stride), -(-side // stride))
        for width, stride in zip(channels, strides, strict=True)
    ]
    assert found == wanted, f"maps are {found}, channels and strides say {wanted}, at {size} px"


def _check_names(space: SearchSpace, architecture: Architecture, facts: ImageFacts) -> None:
    """What is shared or loaded by name fits: the classifier's tensors, and not all of them."""
    import torch

    with torch.device("meta"):
        built = space.build(architecture, facts, Classes(len(facts.classes))).state_dict()
        own = space.features(architecture, facts).state_dict()
    odd = [name for name in own if name not in built or built[name].shape != own[name].shape]
    assert not odd, f"these are no tensors of the classifier: {odd}"
    assert len(own) < len(built), "features hold the classifier's own parameters"


def _check_weights(
    space: SearchSpace,
    architecture: Architecture,
    facts: ImageFacts,
    network: nn.Module,
    seed: int,
) -> None:
    import torch

    torch.manual_seed(seed)
    twin = space.features(architecture, facts).state_dict()
    assert list(twin) == list(network.state_dict()), "two builds give the same names"
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, twin[name]), f"{name} does not follow torch's global generator"
