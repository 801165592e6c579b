"""What the suite cannot see of Mobile-Former: the slopes, groups that keep their channels."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.bridge import FormerToMobile, MobileToFormer
from orchestrator_spaces.blocks.dynamic_relu import DynamicReLU
from orchestrator_spaces.blocks.grouped_pointwise import (
    GroupedPointwise,
    group_of_part,
    published_order,
)
from orchestrator_spaces.mobile_former import MobileFormerSpace

from orchestrator.trials import FixedTrial


def test_a_dynamic_relu_without_a_verdict_is_relu():
    layer = DynamicReLU(8, 16)
    for projection in (layer.positive, layer.negative):
        torch.nn.init.zeros_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    x = torch.randn(2, 8, 3, 3)
    assert torch.allclose(layer(x, torch.randn(2, 16)), x.relu())


@pytest.mark.parametrize("width", [8, 12, 16])
def test_every_group_hears_as_many_groups_as_it_has_room_for(width):
    order = GroupedPointwise(width, width, 4).order
    assert sorted(order.tolist()) == list(range(width))
    group = order // (width // 4)
    for turn in range(4):
        # The next convolution's group has every fourth channel.
        assert len(set(group[turn::4].tolist())) == min(4, width // 4)


def test_a_narrow_grouped_convolution_is_the_first_part_of_a_wide_one():
    wide, narrow = GroupedPointwise(16, 24, 4), GroupedPointwise(16, 12, 4)
    name = "stages.1.blocks.0.mobile.expand.groups4.conv.weight"
    shapes = (tuple(each.conv.weight.shape) for each in (wide, narrow))
    parts = MobileFormerSpace().share(name, *shapes)
    rows = torch.tensor(parts[0])
    narrow.conv.weight.data.copy_(wide.conv.weight.data[rows])
    x = torch.randn(2, 16, 3, 3)
    assert torch.allclose(narrow(x), wide(x)[:, :12], atol=1e-6)


def test_channels_keep_their_head_in_a_wider_network():
    # Channels that are zero in the wide network contribute nothing to either head.
    wide, narrow = MobileToFormer(12, 16), MobileToFormer(8, 16)
    for name, tensor in narrow.state_dict().items():
        tensor.copy_(wide.state_dict()[name][tuple(slice(size) for size in tensor.shape)])
    # Scores are scaled by a head's width.
    narrow.query.weight.data.mul_((4 / 6) ** 0.5)
    narrow.query.bias.data.mul_((4 / 6) ** 0.5)
    x, tokens = torch.randn(2, 12, 3, 3), torch.randn(1, 3, 16)
    x[:, 8:] = 0
    assert torch.allclose(narrow(x[:, :8], tokens), wide(x, tokens), atol=1e-5)


def test_tokens_change_a_map_of_any_shape():
    x = torch.randn(2, 8, 3, 5)
    changed = FormerToMobile(8, 16)(x, torch.randn(1, 4, 16))
    assert changed.shape == x.shape
    assert not torch.allclose(changed, x)


@pytest.mark.parametrize("width", [12, 24, 36, 72])
def test_the_published_shuffle_is_shufflenet_s_in_our_order_of_channels(width):
    ours = GroupedPointwise(16, width, 4, "after")
    theirs = torch.nn.Conv2d(16, width, 1, groups=4, bias=False)
    groups = group_of_part(torch.arange(4), 4)
    ours.conv.weight.data.view(4, -1)[groups] = theirs.weight.data.view(4, -1)
    x = torch.randn(2, 16, 3, 3)
    shuffled = theirs(x).unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2)
    found = ours(x[:, published_order(16, 4)])
    assert torch.allclose(found, shuffled[:, published_order(width, 4)], atol=1e-6)


def test_an_architecture_without_a_shuffle_is_the_network_that_it_was_found_as():
    space = MobileFormerSpace(preset="full")
    architecture = space.suggest(FixedTrial(space.published()["26m"].choices))
    assert architecture.pop("shuffle") == "published"
    with torch.device("meta"):
        network = fresh(space, architecture, image_size=64)
    shuffles = {each.shuffle for each in network.modules() if isinstance(each, GroupedPointwise)}
    assert shuffles == {"turned"}
    assert "stages.1.blocks.0.mobile.expand.groups4.conv.weight" in network.state_dict()
