"""What the contract suite cannot see of MobileNetV3's space."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.channel_attention import ATTENTIONS
from orchestrator_spaces.mobilenetv3 import MobileNetV3Space

from orchestrator.trials import FixedTrial


def built(changes: dict[str, Any]):
    """The large small network with other answers."""
    space = MobileNetV3Space()
    choices = {**space.published()["large-small"].choices, **changes}
    architecture = space.suggest(FixedTrial(choices))
    return space, fresh(space, architecture, classes=10, in_channels=3, image_size=32)


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_only_what_spatial_attention_averages_keeps_its_channels(kind):
    space, network = built({"stages.2.attention": kind, "stages.3.attention": "none"})
    depthwise = [block.layers.depthwise.conv for block in network.stages[2]]
    fixed = depthwise if kind in ("spatial", "cbam") else []
    assert list(space.fixed_layers(network)) == fixed


def test_attentions_share_no_weight():
    names = [
        {name for name, _ in network.named_parameters() if name.startswith("stages.3.0.layers.")}
        for _, network in (built({"stages.3.attention": kind}) for kind in ATTENTIONS)
    ]
    common = set.intersection(*names)
    own = [found - common for found in names]
    assert sum(map(len, own)) == len(set.union(*own))


def test_a_narrow_block_with_a_small_kernel_is_the_middle_of_a_wide_one():
    (_, wide), (_, narrow) = (
        built({"stages.1.blocks.1.kernel": kernel, "stages.1.blocks.1.ratio": ratio})
        for kernel, ratio in ((5, 4), (3, 2))
    )
    much, little = (network.stages[1][1].layers.depthwise for network in (wide, narrow))
    kept = little.conv.out_channels
    with torch.no_grad():
        much.conv.weight[:kept, :, [0, -1]] = 0
        much.conv.weight[:kept, :, :, [0, -1]] = 0
        little.conv.weight.copy_(much.conv.weight[:kept, :, 1:-1, 1:-1])
    x = torch.randn(2, much.conv.in_channels, 8, 8)
    torch.testing.assert_close(much.conv(x)[:, :kept], little.conv(x[:, :kept]))
