from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from orchestrator import Classes, ImageFacts
from orchestrator.plan.image_sides import Sides, sides_of, small_images
from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial, RandomTrial

KNOWN = ("mobilenetv2", "mobilenetv3", "efficientnet", "shufflenetv2", "mobilevit", "edgevit")


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize(("size", "last"), [(32, 1), (40, 2), (44, 2)])
def test_the_last_map_of_a_network_of_stride_32_is_found(name: str, size: int, last: int) -> None:
    space = installed().create("space", name, {"preset": "full"})
    trial = RandomTrial(0)
    space.suggest(trial)
    architecture = space.suggest(FixedTrial({**trial.choices, "resolution": 1.0}))
    network = space.build(architecture, ImageFacts.unnamed(size), Classes(4))
    found = sides_of(network, (3, size, size))
    assert found == Sides(size, last)
    assert found.small


def test_a_network_of_a_smaller_stride_sees_enough_of_small_images() -> None:
    space = installed().create("space", "mobilenetv2", {"preset": "small"})
    facts = ImageFacts.unnamed(32)
    network = space.build(space.suggest(RandomTrial(0)), facts, Classes(4))
    found = sides_of(network, facts.shape)
    assert found is not None
    assert not found.small


class Squeezed(nn.Module):
    """A stem, and a look at the whole map that is no layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.squeeze = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 1)
        self.forwards = 0

    def forward(self, images: Tensor) -> Tensor:
        found = self.stem(images)
        self.forwards += 1
        return found * self.squeeze(found.mean((2, 3), keepdim=True))


def test_a_whole_map_that_becomes_one_place_is_no_stride() -> None:
    assert sides_of(Squeezed(), (3, 32, 32)) == Sides(32, 16)


def test_of_large_images_no_more_is_computed_than_need_be() -> None:
    network = Squeezed()
    assert sides_of(network, (3, 48, 48)) is None
    assert network.forwards == 0
    assert not network.stem._forward_hooks
    assert network(torch.zeros(1, 3, 48, 48)).shape == (1, 4, 24, 24)
    assert sides_of(nn.Flatten(), (3, 8, 8)) is None


def test_the_warning_says_what_was_found_what_is_expected_and_what_to_do() -> None:
    found = [Sides(32, 1), Sides(40, 2), None, Sides(32, 4)]
    (text,) = small_images(found, 64, trained=True)
    assert text.startswith(
        "dataset.image_size: 2 of 4 networks looked at began with images of 32 px or little more "
        "and ended with maps of 1×1, expected 48 px or more"
    )
    assert "trained weights are worth little" in text
    assert re.search(r"set dataset.image_size=96, .*\.$", text)
    assert "networks learn little" in small_images(found, 64, trained=False)[0]
    assert small_images([None, Sides(32, 4)], 64, trained=True) == []
