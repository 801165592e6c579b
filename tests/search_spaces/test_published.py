"""Published members are points, equal the published counts, and small ones are small."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces import orchestrator_search_spaces
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.candidate.networks import build_published, counted_networks, published_networks
from orchestrator.errors import BuildError, PluginError
from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial, RandomTrial

FAMILIES = [offer.name for offer in orchestrator_search_spaces()]


def macs(network: torch.nn.Module, image_size: int) -> int:
    images = torch.empty(1, 3, image_size, image_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(images)
    return counter.get_total_flops() // 2


def small_macs(space, trial) -> int:
    with torch.device("meta"):
        network = fresh(space, space.suggest(trial), classes=10, in_channels=3, image_size=32)
    return macs(network, 32)


def test_networks_are_listed_with_facts():
    rows = {row.name: row for row in published_networks()}
    large = rows["mobilenetv3/large-1.0"]
    assert (large.params, large.macs, large.top1_percent) == (5_483_032, 216_589_760, 75.2)
    assert rows["shufflenetv2/1.0x"].macs == 145_814_296
    assert rows["efficientformer/l1"].params == 12_289_928


@pytest.mark.parametrize("family", sorted(installed().offered("space")))
def test_every_member_has_exactly_the_published_counts(family):
    rows = [row for row in published_networks() if row.family == family]
    networks = list(counted_networks(rows))
    assert [network.row.name for network in networks if not network.agrees] == []
    known = all(row.params and row.macs and row.source for row in rows)
    assert family not in FAMILIES or (rows and known)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_member_is_listed(family):
    points = installed().create("space", family, {"preset": "full"}).published()
    listed = {row.name: row for row in published_networks() if row.family == family}
    assert list(listed) == [f"{family}/{member}" for member in points]
    for row, point in zip(listed.values(), points.values(), strict=True):
        assert (row.params, row.macs, row.image_size) == (
            point.params,
            point.macs,
            point.image_size,
        )


@pytest.mark.parametrize("name", ["efficientformer/l1", "mobilenetv3/small-0.75"])
def test_a_network_built_by_name_has_the_listed_counts(name):
    row = next(row for row in published_networks() if row.name == name)
    with torch.device("meta"):
        network, published = build_published(name)
    params = sum(parameter.numel() for parameter in network.parameters())
    assert (params, macs(network, published.image_size)) == (row.params, row.macs)


def test_a_network_is_built_for_other_classes_and_channels():
    network, _ = build_published("shufflenetv2/0.5x", classes=7, in_channels=1)
    assert network.eval()(torch.zeros(2, 1, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize("name", ["mobilenetv3/large", "mobilenet/large-1.0", "large-1.0"])
def test_an_unknown_network_is_an_error_that_names_the_nearest(name):
    with pytest.raises(PluginError, match=r"mobilenetv3/large-1\.0"):
        build_published(name)


@pytest.mark.parametrize("family", FAMILIES)
def test_small_points_are_light_and_the_largest_comes_first(family):
    space = installed().create("space", family, {"preset": "small"})
    sizes = [small_macs(space, FixedTrial(point.choices)) for point in space.published().values()]
    assert sizes[0] == max(sizes)
    assert max(sizes) < 12e6


@pytest.mark.parametrize("family", FAMILIES)
def test_random_small_networks_stay_below_fifteen_million_macs(family):
    space = installed().create("space", family, {"preset": "small"})
    assert max(small_macs(space, RandomTrial(seed)) for seed in range(10)) < 15e6


@pytest.mark.parametrize("family", FAMILIES)
def test_images_smaller_than_the_total_stride_are_refused(family):
    space = installed().create("space", family, {"preset": "full"})
    architecture = space.suggest(RandomTrial(0))
    with pytest.raises(BuildError, match="16 px found, at least"):
        fresh(space, architecture, classes=10, in_channels=3, image_size=16)
