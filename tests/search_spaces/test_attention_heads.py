"""Attention says which layers hold its heads, so that they can be sorted and sliced whole."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from torch import Tensor, nn

from orchestrator.plugins import installed
from orchestrator.pretrained.sorting import sort_channels
from orchestrator.trials import RandomTrial

FAMILIES = ["deit", "edgevit", "efficientformer", "efficientformerv2", "mobilevit", "swin", "vit"]


def small(family: str, seed: int) -> nn.Module:
    """In double precision, and away from initial values that are alike for all heads."""
    torch.manual_seed(seed)
    space = installed().create("space", family, {"preset": "small"})
    network = fresh(space, space.suggest(RandomTrial(seed))).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def reverse(tensor: Tensor, dimension: int, heads: int) -> None:
    """Turn the order of heads round, in place."""
    places = torch.arange(tensor.shape[dimension]).view(heads, -1).flip(0).flatten()
    tensor.copy_(tensor.index_select(dimension, places))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("family", FAMILIES)
def test_heads_that_change_places_leave_the_function(family, seed):
    network, images = small(family, seed), torch.randn(2, 3, 32, 32).double()
    attentions = [each for each in network.modules() if hasattr(each, "head_layers")]
    with torch.no_grad():
        before = network(images)
        for attention in attentions:
            outputs, inputs, heads = attention.head_layers()
            for layer in outputs:
                for tensor in (*layer.parameters(), *layer.buffers()):
                    if tensor.dim():
                        reverse(tensor.data, 0, heads)
            for layer in inputs:
                reverse(layer.weight.data, 1, heads)
        after = network(images)
    assert torch.allclose(before, after, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_fixed_projection_belongs_to_heads(family):
    space = installed().create("space", family, {"preset": "small"})
    for seed in range(6):
        network = fresh(space, space.suggest(RandomTrial(seed)))
        attentions = [each for each in network.modules() if hasattr(each, "head_layers")]
        held = {layer for each in attentions for layer in each.head_layers()[0]}
        fixed = set(space.fixed_layers(network))
        fixed.discard(getattr(network, "distillation_classifier", None))
        assert fixed <= held


@pytest.mark.parametrize("family", FAMILIES)
def test_all_heads_are_sorted_whole_before_networks_inherit_them(family):
    network = small(family, 0).float()
    space = installed().create("space", family, {"preset": "small"})
    done = sort_channels(network, space.fixed_layers(network), (3, 32, 32))
    attentions = {name for name, each in network.named_modules() if hasattr(each, "head_layers")}
    assert attentions <= set(done.sorted)
