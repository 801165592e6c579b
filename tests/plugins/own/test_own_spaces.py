"""Networks as their users write them become sound spaces."""

from __future__ import annotations

import copy

import pytest
import torch
from orchestrator_own.space import OwnNetwork

from orchestrator import Classes, ImageFacts
from orchestrator.errors import BuildError, ConfigError
from orchestrator.testing.space import check_space

FACTS = ImageFacts.unnamed(32, in_channels=1)
NAMES = ("narrow_resnet18", "narrow_mobilenetv2", "narrow_vit", "plain")


def space_of(name, **options):
    return OwnNetwork(network=f"own_networks:{name}", image_size=32, **options)


class Chosen:
    """Answers by the first word of a question; the largest of all else."""

    def __init__(self, **wanted):
        self.wanted = wanted

    def suggest_categorical(self, name, choices):
        choose = self.wanted.get(name.partition(".")[0])
        given = choices[0] if name.startswith("activation.") else choices[-1]
        return choose(choices) if choose else given

    def suggest_int(self, name, low, high, *, step=1):
        return low if "depth" in self.wanted else high


def built(space, facts=FACTS, **wanted):
    architecture = space.suggest(Chosen(**wanted))
    return space.build(architecture, facts, Classes(len(facts.classes)))


@pytest.mark.parametrize("name", NAMES)
def test_each_of_them_fulfils_the_contract_of_a_space(name):
    check_space(space_of(name), samples=4)


@pytest.mark.parametrize("name", NAMES)
def test_the_original_is_the_very_network_its_user_wrote(name):
    import own_networks

    network = built(space_of(name))
    assert type(network).__module__ == "own_networks"
    made = getattr(own_networks, name)
    if name != "plain":
        sizes = (10, 1, 32)[: made.__code__.co_argcount]
        theirs = made(*sizes).state_dict()
        assert {n: t.shape for n, t in network.state_dict().items()} == {
            n: t.shape for n, t in theirs.items()
        }


def test_narrow_networks_keep_names_and_take_leading_channels():
    space = space_of("narrow_resnet18")
    torch.manual_seed(0)
    whole = built(space)
    torch.manual_seed(0)
    narrow = built(space, width=lambda totals: totals[1])
    weights = narrow.state_dict()
    assert set(weights) == set(whole.state_dict())
    assert torch.equal(weights["layer4.1.conv1.weight"], whole.layer4[1].conv1.weight[:64, :64])


def test_blocks_that_are_left_out_are_those_that_only_add():
    network = built(space_of("narrow_resnet18"), depth=True)
    left = [n for n, module in network.named_modules() if type(module).__name__ == "LeftOut"]
    assert left == ["layer1.1", "layer2.1", "layer3.1", "layer4.1"]


def test_a_transformer_loses_whole_heads_with_its_stream():
    space = space_of("narrow_vit")
    whole = built(space)
    narrow = built(space, width=lambda totals: totals[-2])
    attention = narrow.blocks[0].attn
    assert attention.num_heads == 2
    assert tuple(attention.qkv.weight.shape) == (96, 32)
    part = space.share("blocks.0.attn.qkv.weight", (144, 48), (96, 32))
    rows = torch.arange(144).view(3, 48)[:, :32].flatten()
    assert part == (tuple(rows.tolist()), slice(0, 32))
    assert tuple(whole.blocks[0].attn.qkv.weight[list(part[0])][:, part[1]].shape) == (96, 32)


def test_kernels_keep_their_centre():
    space = space_of("plain")
    torch.manual_seed(0)
    whole = built(space)
    torch.manual_seed(0)
    small = built(space, kernel=lambda sides: sides[0])
    assert torch.equal(small.spatial.weight, whole.spatial.weight[..., 2:5, 2:5])
    assert small.spatial.padding == (1, 1)


def test_activations_change_by_kind_and_images_shrink():
    space = space_of("narrow_mobilenetv2")
    network = built(space, activation=lambda kinds: "hardswish", resolution=lambda all: 0.5)
    kinds = {type(module).__name__ for module in network.modules()}
    assert "Hardswish" in kinds and "ReLU6" not in kinds
    assert type(network).__name__ == "MobileNetV2At16"
    assert copy.deepcopy(network).eval()(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_a_factory_without_arguments_is_fitted_at_both_ends():
    network = built(space_of("plain"))
    assert network.last.out_features == 10
    assert network.first.in_channels == 1


def test_what_stays_is_told_layer_by_layer_with_the_reason():
    told = space_of("plain").unchanged()
    assert "grouped convolution" in told["grouped"]
    assert "logit" in told["last"]
    assert "no residual block" in told["depth"]
    assert "no smaller images" in told["resolution"]
    assert "functions" in told["activation"]


def test_layers_nobody_can_follow_are_not_pruned_either():
    space = space_of("plain")
    network = built(space)
    assert network.grouped in list(space.fixed_layers(network))


def test_a_released_file_may_come_from_parallel_training():
    assert list(space_of("plain").translate({"module.first.bias": torch.ones(1)}, "ours")) == [
        "first.bias"
    ]


def test_images_of_another_size_than_looked_at_are_refused_where_it_matters():
    space = OwnNetwork(network="own_networks:sized", image_size=32)
    with pytest.raises(BuildError, match=r"space\.image_size=16"):
        built(space, ImageFacts.unnamed(16))


def test_an_architecture_of_another_network_is_refused():
    architecture = {**space_of("plain").suggest(Chosen()), "network": "other:make"}
    with pytest.raises(BuildError, match=r"space\.network=other:make"):
        space_of("plain").build(architecture, FACTS, Classes(10))


def test_a_network_that_gives_no_logits_is_refused():
    with pytest.raises(ConfigError, match="expected logits"):
        OwnNetwork(network="own_networks:InvertedResidual.__new__").suggest(Chosen())
