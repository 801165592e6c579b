from __future__ import annotations

import copy
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_networks as tiny
import torch
import torch_pruning
from networks import fresh
from orchestrator_pruning.channels import ChannelPruning
from orchestrator_spaces import orchestrator_search_spaces
from torch import nn

from orchestrator import CompressionContext, settle_statistics
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import RandomTrial

SPACES = [offer.name for offer in orchestrator_search_spaces()]
# These normalise over channels, so that a silenced channel still counts.
CHANNEL_NORMS = {"deit", "edgevit", "efficientformer", "mobilevit", "swin", "vit"}


def sample(name: str, seed: int):
    """A builder of one architecture of a space, and a context for it."""
    space = installed().create("space", name, {"preset": "small"})
    architecture = space.suggest(RandomTrial(seed))
    images = np.random.default_rng(seed).normal(size=(2, 3, 32, 32)).astype(np.float32)
    context = CompressionContext(space, SimpleNamespace(alignment=8), images, seed=0)
    torch.manual_seed(seed)
    return lambda: fresh(space, architecture, classes=7, in_channels=3, image_size=32), context


# With seed 1, all channels of ShuffleNetV1 are fixed.
@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("name", SPACES)
def test_networks_of_our_spaces_fulfil_the_contract(name, seed):
    build, context = sample(name, seed)
    check_compressor(ChannelPruning(), context, build=build)


@pytest.mark.parametrize("name", ["efficientformer", "mobilenetv3", "shufflenetv2"])
def test_half_of_the_channels_is_more_than_a_third_of_the_parameters(name):
    build, context = sample(name, seed=1)
    network = build()
    before = sum(parameter.numel() for parameter in network.parameters())
    ChannelPruning().compress(network, {"ratio": 0.5}, context)
    assert sum(parameter.numel() for parameter in network.parameters()) < 2 / 3 * before


@pytest.mark.parametrize(("name", "seed"), [("shufflenetv1", 3), ("shufflenetv2", 1)])
def test_chains_of_joins_and_splits_are_followed_in_little_time(name, seed):
    build, context = sample(name, seed)
    network = build()
    start = time.process_time()
    ChannelPruning().compress(network, {"ratio": 0.5}, context)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("build", [tiny.MobileNet, tiny.Shuffle, tiny.Concatenated])
def test_tiny_networks_lose_what_was_silenced(build, monkeypatch):
    images = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)
    space = SimpleNamespace(fixed_layers=tiny.fixed_layers)
    context = CompressionContext(space, SimpleNamespace(alignment=8), images, seed=0)
    assert_only_silence_is_removed(build(), context, monkeypatch)


@pytest.mark.parametrize("seed", [0, 2, 3])
@pytest.mark.parametrize("name", [name for name in SPACES if name not in CHANNEL_NORMS])
def test_networks_of_our_spaces_lose_what_was_silenced(name, seed, monkeypatch):
    build, context = sample(name, seed)
    assert_only_silence_is_removed(build(), context, monkeypatch)


def assert_only_silence_is_removed(network: nn.Module, context, monkeypatch) -> None:
    """The pruned network is the whole one with the removed channels at zero.

    In double precision, as batch norms of maps of one place magnify rounding.
    """
    removed: list[tuple[str, list[int]]] = []
    prune = torch_pruning.dependency.Group.prune

    def spy(group) -> None:
        graph = group._DG
        for dep, channels in group:
            if graph.is_out_channel_pruning_fn(dep.handler) and dep.target.module in modules:
                removed.append((modules[dep.target.module], list(channels)))
        prune(group)

    monkeypatch.setattr(torch_pruning.dependency.Group, "prune", spy)
    images = torch.from_numpy(context.calibration).double()
    network.double()
    _settle(network, images)
    modules = {module: name for name, module in network.named_modules()}
    whole = copy.deepcopy(network)
    ChannelPruning().compress(network, {"ratio": 0.5}, context)
    for name, channels in removed:
        for parameter in whole.get_submodule(name).parameters():
            parameter.data[channels] = 0
    settle_statistics(whole, images)
    expected = whole(images)
    assert expected.std(0).max() > 1e-5
    torch.testing.assert_close(network(images), expected)


def _settle(network: nn.Module, images: torch.Tensor) -> None:
    """Let batch norms know the images: else a deep untrained network answers a constant."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(images)
    network.eval()
