"""MobileNetV1 and V2: narrow blocks are wide ones' first channels, and names are roles."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.depthwise_separable import (
    DepthwiseSeparable,
    DepthwiseSeparableShape,
)
from orchestrator_spaces.mobilenetv1 import MobileNetV1Space
from orchestrator_spaces.mobilenetv2 import MobileNetV2Space

from orchestrator.trials import FixedTrial


def separable(width: int) -> DepthwiseSeparable:
    return DepthwiseSeparable(DepthwiseSeparableShape(8, width, 3, 2, "relu6")).eval()


def answered(space, **answers):
    """The network of the smallest named point with other answers; no dots in Python's names."""
    *_, point = space.published().values()
    choices = point.choices | {name.replace("__", "."): value for name, value in answers.items()}
    return fresh(
        space, space.suggest(FixedTrial(choices)), classes=10, in_channels=1, image_size=32
    )


def test_a_narrow_separable_convolution_gives_the_wide_ones_first_channels():
    wide, narrow = separable(24), separable(16)
    known = wide.state_dict()
    narrow.load_state_dict(
        {k: known[k][tuple(map(slice, v.shape))] for k, v in narrow.state_dict().items()}
    )
    x = torch.randn(2, 8, 9, 9)
    assert torch.allclose(narrow(x), wide(x)[:, :16], atol=1e-6)


@pytest.mark.parametrize("space", [MobileNetV1Space(), MobileNetV2Space()])
def test_depth_of_a_stage_renames_no_other_block(space):
    shallow, deep = answered(space, stages__1__depth=1), answered(space)
    gone = set(deep.state_dict()) - set(shallow.state_dict())
    assert gone
    assert all(name.startswith("stages.1.1.") for name in gone)


@pytest.mark.parametrize("space", [MobileNetV1Space(), MobileNetV2Space()])
def test_what_spatial_attention_sees_is_fixed(space):
    network = answered(space, stages__2__attention="cbam")
    depthwise = [
        module
        for name, module in network.named_modules()
        if name.startswith("stages.2.") and name.endswith("depthwise.conv")
    ]
    assert list(space.fixed_layers(network)) == depthwise
    assert len(depthwise) > 1
