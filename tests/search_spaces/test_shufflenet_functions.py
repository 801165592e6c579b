"""ShuffleNets compute what their authors' code computes, and what old architectures said."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.channel_order import ChannelOrder, PassingUnit, alike
from orchestrator_spaces.shufflenetv1 import ShuffleNetV1Space
from orchestrator_spaces.shufflenetv2 import PairedUnit, ShuffleNetV2Space
from torch import Tensor, nn

from orchestrator.testing.exporting import compiled_difference, first_device
from orchestrator.trials import FixedTrial


def member(space, name: str):
    return space.suggest(FixedTrial(space.published()[name].choices))


def lively(network: nn.Module) -> nn.Module:
    """Statistics of every kind, in double precision."""
    generator = torch.Generator().manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low in (
                (norm.weight, 0.5),
                (norm.bias, -0.5),
                (norm.running_mean, -0.5),
                (norm.running_var, 0.5),
            ):
                assert tensor is not None
                tensor.data.uniform_(low, low + 1, generator=generator)
    return network.double().eval()


def authors_units(stage, x: Tensor) -> Tensor:
    """Every second channel passes and comes first, the others follow, changed (version 2)."""
    for unit in stage.units:
        x = torch.cat((x[:, 0::2], unit.branch(x[:, 1::2])), dim=1)
    return x


def torchvision_units(stage, x: Tensor) -> Tensor:
    """The first half passes; then one of each half in turn."""
    batch, width, height, _ = x.shape
    for unit in stage.units:
        passed, changed = x.chunk(2, dim=1)
        both = torch.cat((passed, unit.branch(changed)), dim=1)
        x = both.view(batch, 2, width // 2, height, -1).transpose(1, 2).reshape(x.shape)
    return x


@pytest.mark.parametrize(
    ("name", "units"), [("0.5x", authors_units), ("0.5x-torchvision", torchvision_units)]
)
def test_a_stage_gives_by_slots_what_plain_units_give(name, units):
    space = ShuffleNetV2Space(preset="full")
    network = lively(fresh(space, member(space, name), image_size=64))
    x = network.stem_pool(network.stem(torch.rand(1, 3, 64, 64, dtype=torch.float64)))
    for stages in list(network.stages)[1:]:
        (stage,) = stages
        entered = stage.entry(x)
        plain, x = units(stage, entered), stage(x)
        order = ChannelOrder("chunks" if units is torchvision_units else "turns", x.shape[1])
        places = [order.place(slot, len(stage.units)) for slot in range(order.width)]
        assert torch.allclose(x, plain[:, places])


def test_a_stages_first_unit_of_the_authors_concatenates():
    space = ShuffleNetV2Space(preset="full")
    network = lively(fresh(space, member(space, "1.0x"), image_size=64))
    entry = network.stages[1][0].entry
    x = torch.rand(1, 24, 16, 16, dtype=torch.float64)
    assert torch.equal(entry(x), torch.cat((entry.shortcut(x), entry.branch(x)), dim=1))


@pytest.mark.parametrize("kind", ["chunks", "turns"])
@pytest.mark.parametrize("width", [48, 116, 244])
def test_every_channel_is_changed_by_some_unit_and_every_unit_changes_half(kind, width):
    order = ChannelOrder(kind, width)
    changed = [
        {slot for slot in range(width) if order.changes(order.place(slot, unit))}
        for unit in range(9)
    ]
    assert {len(slots) for slots in changed} == {width // 2}
    # But for the first one, which always passes, as the last one is always changed.
    assert set.union(*changed) == set(range(1, width))
    for unit in range(4):
        assert sorted(order.changed(unit)) == list(range(width // 2))


@pytest.mark.parametrize("kind", ["chunks", "turns"])
def test_pairs_of_a_narrower_network_are_changed_by_the_same_units(kind):
    wide, narrow = ChannelOrder(kind, 116), ChannelOrder(kind, 48)
    matches = alike(wide, narrow)
    assert len(set(matches)) == narrow.half
    for pair, match in enumerate(matches):
        for unit in range(3):
            found, wanted = (
                order.changes(order.place(order.slot(each), unit))
                for order, each in ((wide, match), (narrow, pair))
            )
            assert found == wanted


@pytest.mark.parametrize("name", ["0.5x-g8", "1.0x-g3"])
def test_version_1_shuffles_as_the_authors_do(name):
    space = ShuffleNetV1Space(preset="full")
    network = fresh(space, member(space, name), image_size=64)
    groups = int(name[-1])
    (stage,) = network.stages[0]
    x = torch.rand(2, stage.entry.branch.reduce.conv.out_channels, 3, 3)
    batch, width, height, _ = x.shape
    shuffled = x.reshape(batch, width // groups, groups, height, -1).permute(0, 2, 1, 3, 4)
    assert torch.equal(stage.entry.branch.shuffle(x), shuffled.reshape(x.shape))


def test_version_1_with_a_bias_shuffles_from_groups_to_neighbours():
    space = ShuffleNetV1Space(preset="full")
    architecture = member(space, "1.0x-g4")
    assert architecture["classifier_bias"] and "shuffle" not in architecture
    (stage,) = fresh(space, architecture, image_size=64).stages[0]
    x = torch.arange(float(stage.entry.branch.reduce.conv.out_channels)).view(1, -1, 1, 1)
    shuffled = stage.entry.branch.shuffle(x).flatten().tolist()
    assert shuffled[:4] == [0, len(shuffled) / 4, len(shuffled) / 2, len(shuffled) * 3 / 4]


@pytest.mark.parametrize(("preset", "name"), [("small", "0.5x-small"), ("full", "1.0x")])
def test_an_architecture_without_an_order_rebuilds_what_it_was(preset, name):
    space = ShuffleNetV2Space(preset=preset)
    architecture = member(space, name)
    assert architecture.pop("order") in ("chunks", "turns")
    network = lively(fresh(space, architecture, image_size=64))
    kinds = [type(unit) for unit in network.modules() if isinstance(unit, PassingUnit | PairedUnit)]
    assert kinds and set(kinds) == {PairedUnit}
    (unit,) = [each for each in network.modules() if isinstance(each, PairedUnit)][:1]
    x = torch.rand(1, 2 * unit.branch[0][0].conv.in_channels, 2, 2, dtype=torch.float64)
    # A quarter passes through every such unit in its place.
    assert torch.equal(unit(x)[:, ::4], x[:, ::4])
    assert "last.conv.weight" in network.state_dict()


@pytest.mark.parametrize("name", ["0.5x", "0.5x-torchvision"])
def test_published_orders_are_exported(name):
    space = ShuffleNetV2Space(preset="full")
    network = fresh(space, member(space, name), image_size=64).eval()
    assert compiled_difference(first_device(), network, torch.rand(3, 3, 64, 64)) < 1e-3
