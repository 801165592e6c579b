"""Networks follow another framework's convention, which their architecture alone tells."""

from __future__ import annotations

import pytest
import torch
from networks import fresh, prune
from orchestrator_spaces import orchestrator_search_spaces
from orchestrator_spaces.blocks.convention import CONVENTIONS, SameConv2d, follow
from torch import nn

from orchestrator import ImageFacts
from orchestrator.errors import ConfigError
from orchestrator.plugins import installed
from orchestrator.testing.exporting import compiled_difference, first_device
from orchestrator.testing.space import check_space
from orchestrator.trials import FixedTrial

FAMILIES = [offer.name for offer in orchestrator_search_spaces()]
OTHERS = CONVENTIONS[1:]


def space(family: str, convention: str):
    return installed().create("space", family, {"preset": "small", "convention": convention})


def smallest(made):
    *_, point = made.published().values()
    return made.suggest(FixedTrial(point.choices))


def layers(network: nn.Module, kind: type) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize("family", FAMILIES)
def test_only_another_convention_is_part_of_an_architecture(family):
    plain, *others = [smallest(space(family, convention)) for convention in CONVENTIONS]
    assert "convention" not in plain
    assert others == [{**plain, "convention": convention} for convention in OTHERS]


def test_an_unknown_convention_is_an_error_that_names_the_known_ones():
    with pytest.raises(ConfigError, match="'keras' found, expected one of torch, tensorflow, eps"):
        space("mobilenetv2", "keras")


@pytest.mark.parametrize("family", ["mobilenetv2", "mobilenetv3", "efficientformer"])
def test_the_architecture_alone_rebuilds_the_network(family):
    architecture = smallest(space(family, "tensorflow"))
    plain = space(family, "torch")
    network = fresh(plain, architecture)
    assert layers(network, SameConv2d)
    assert {norm.eps for norm in layers(network, nn.BatchNorm2d)} == {1e-3}
    if family != "mobilenetv2":
        pyramid = plain.features(architecture, ImageFacts.unnamed(32))
        assert {norm.eps for norm in layers(pyramid, nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("sides", [(8, 8), (7, 9), (8, 9), (1, 2)])
def test_padding_is_as_tensorflows_same_has_it(kernel, sides):
    conv = nn.Conv2d(2, 4, kernel, 2, padding=kernel // 2, groups=2)
    images = torch.randn(2, 2, *sides)
    # Per side: all of it is max((⌈n/2⌉ - 1) · 2 + k - n, 0), of which the smaller half comes first.
    whole = [max((-(-n // 2) - 1) * 2 + kernel - n, 0) for n in sides]
    (top, bottom), (left, right) = [(each // 2, each - each // 2) for each in whole]
    padded = nn.functional.pad(images, (left, right, top, bottom))
    wanted = nn.functional.conv2d(padded, conv.weight, conv.bias, 2, groups=2)
    network: nn.Module = follow(nn.Sequential(conv), "tensorflow")
    assert len(layers(network, SameConv2d)) == 1
    assert torch.equal(network(images), wanted)


@pytest.mark.parametrize("convention", OTHERS)
def test_tensors_stay_as_they_were_drawn(convention):
    networks = []
    for each in ("torch", convention):
        torch.manual_seed(0)
        made = space("mobilenetv2", each)
        networks.append(fresh(made, smallest(made)).state_dict())
    plain, other = networks
    assert list(plain) == list(other)
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_a_network_with_same_padding_is_exported_and_pruned():
    made = space("mobilenetv2", "tensorflow")
    network = fresh(made, smallest(made), in_channels=1).eval()
    images = torch.randn(3, 1, 32, 32)
    assert compiled_difference(first_device(), network, images) < 1e-3
    prune(network, [network.get_submodule("classifier")])
    assert network(images).shape == (3, 10)
    assert all(same.in_channels == same.weight.shape[0] for same in layers(network, SameConv2d)[1:])


@pytest.mark.parametrize("family", ["mobilenetv2", "efficientnet"])
def test_the_contract_holds_with_another_convention(family):
    check_space(space(family, "tensorflow"), samples=3)
