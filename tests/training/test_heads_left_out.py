"""Heads of attention left out whole; a network rebuilt with as many."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from torch import nn

from orchestrator import attention_heads
from orchestrator.bundle.resizing import resize
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

FAMILIES = ["deit", "edgevit", "efficientformer", "efficientformerv2", "mobilevit", "swin", "vit"]


def drawn(family: str) -> nn.Module:
    """The first drawn network of a family that has attention."""
    space = installed().create("space", family, {"preset": "small"})
    for seed in range(20):
        torch.manual_seed(0)
        network = fresh(space, space.suggest(RandomTrial(seed))).eval()
        if attention_heads(network):
            return network
    raise AssertionError(f"20 networks of {family} have no attention")


# Local propagation of EdgeViT normalises over all heads together.
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "edgevit"])
def test_what_a_head_gave_is_what_is_missing_without_it(family):
    """A head that nothing reads may go, and the answers stay."""
    network, images = drawn(family), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        for heads in attention_heads(network):
            for layer in heads.readers:
                places = torch.arange(layer.weight.shape[1]).view(heads.count, -1)
                layer.weight[:, places[0]] = 0
        before = network(images)
        for heads in attention_heads(network):
            heads.keep(range(1, heads.count))
        after = network(images)
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_with_fewer_heads_is_rebuilt_by_the_shapes_of_its_tensors(family, tmp_path):
    network, again = drawn(family), drawn(family)
    for heads in attention_heads(network):
        heads.keep([0])
    state = network.state_dict()
    resize(again, state, tmp_path)
    again.load_state_dict(state)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(again(images), network(images))
