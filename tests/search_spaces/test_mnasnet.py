"""What the contract suite cannot see of MnasNet's hierarchy."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.mnasnet import Layer, MnasNetSpace
from torch import nn

from orchestrator.trials import FixedTrial, RandomTrial


def drawn(seed: int):
    """A random architecture, and a network of it on no device."""
    space = MnasNetSpace()
    architecture = space.suggest(RandomTrial(seed))
    with torch.device("meta"):
        return architecture, fresh(space, architecture, classes=10, in_channels=3, image_size=32)


@pytest.mark.parametrize("skip", ["identity", "pooling"])
def test_a_skip_adds_the_input(skip):
    silent = nn.Conv2d(2, 2, 1, bias=False)
    nn.init.zeros_(silent.weight)
    x = torch.arange(8.0).reshape(1, 2, 2, 2)
    wanted = x if skip == "identity" else x.mean((2, 3), keepdim=True).expand_as(x)
    assert torch.equal(Layer(silent, skip)(x), wanted)


@pytest.mark.parametrize("seed", range(6))
def test_a_stage_is_one_kind_of_layer_under_its_operators_name(seed):
    architecture, network = drawn(seed)
    for chosen, stage in zip(architecture["stages"], network.stages, strict=True):
        ((name, layers),) = stage.named_children()
        assert (name, len(layers)) == (chosen["operator"], chosen["depth"])
        kernels = {conv.kernel_size[0] for conv in layers.modules() if isinstance(conv, nn.Conv2d)}
        assert kernels - {1} == {chosen["kernel"]}


def test_squeezed_width_is_a_quarter_of_the_layers_input():
    space = MnasNetSpace(preset="full")
    architecture = space.suggest(FixedTrial(space.published()["a1"].choices))
    with torch.device("meta"):
        network = fresh(space, architecture, classes=1000, in_channels=3, image_size=224)
    layers = network.get_submodule("stages.2.mbconv")
    assert [layer.layers.se.squeeze.out_channels for layer in layers] == [6, 10, 10]
