"""Fire modules: two expansions that stay apart are the concatenation, and bypasses are simple."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.fire import Fire, FireShape, JoinedConv
from orchestrator_spaces.squeezenet import SqueezeNetSpace
from torch.nn import functional

from orchestrator.errors import BuildError
from orchestrator.trials import FixedTrial


def published(name: str):
    space = SqueezeNetSpace(preset="full")
    return space, space.suggest(FixedTrial(space.published()[name].choices))


def test_a_joined_convolution_is_that_of_the_concatenation():
    joined = JoinedConv((3, 5), 4)
    maps = torch.randn(2, 3, 6, 6), torch.randn(2, 5, 6, 6)
    weight = torch.cat([part.weight for part in joined.parts], dim=1)
    wanted = functional.conv2d(torch.cat(maps, dim=1), weight, joined.parts[0].bias)
    assert torch.allclose(joined(maps), wanted, atol=1e-6)


@pytest.mark.parametrize("norm", [False, True])
def test_each_expansion_narrows_by_itself_to_its_first_channels(norm):
    wide = Fire(FireShape((8, 8), 4, 12, 16, "relu", norm=norm)).eval()
    narrow = Fire(FireShape((8, 8), 4, 12, 10, "relu", norm=norm)).eval()
    known = wide.state_dict()
    narrow.load_state_dict(
        {k: known[k][tuple(map(slice, v.shape))] for k, v in narrow.state_dict().items()}
    )
    maps = torch.randn(2, 8, 5, 5), torch.randn(2, 8, 5, 5)
    assert torch.equal(narrow(maps)[0], wide(maps)[0])
    assert torch.allclose(narrow(maps)[1], wide(maps)[1][:, :10], atol=1e-6)


def test_the_simple_bypass_goes_around_every_second_fire():
    space, architecture = published("1.0-bypass")
    with torch.device("meta"):
        network = fresh(space, architecture, classes=10, in_channels=3, image_size=227)
    fires = [module for module in network.modules() if isinstance(module, Fire)]
    assert [fire.bypass for fire in fires] == [False, True] * 4


def test_a_wide_stem_kernel_needs_larger_images():
    space, architecture = published("1.0")
    fresh(space, architecture, classes=10, in_channels=3, image_size=21)
    with pytest.raises(BuildError, match="at least 21 px"):
        fresh(space, architecture, classes=10, in_channels=3, image_size=20)
