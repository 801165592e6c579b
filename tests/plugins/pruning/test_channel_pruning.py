from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_networks as tiny
import torch
from orchestrator_pruning.channels import ChannelPruning
from torch import nn

from orchestrator import CompressionContext, errors, settle_statistics
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial

NETWORKS = [tiny.MobileNet, tiny.Former, tiny.Shuffle, tiny.Concatenated]
HALF = {"ratio": 0.5}


@pytest.fixture
def context() -> CompressionContext:
    images = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
    space = SimpleNamespace(fixed_layers=tiny.fixed_layers)
    return CompressionContext(space, SimpleNamespace(alignment=8), images, seed=0)


@pytest.mark.parametrize("build", NETWORKS)
def test_it_fulfils_the_contract(build, context):
    check_compressor(ChannelPruning(), context, build=build)


def test_its_offer_creates_it():
    pruning = installed().create("compressor", "pruning", {"ratios": [0.0, 0.3]})
    assert pruning.ratios == (0.0, 0.3)


def test_no_pruning_is_no_choice():
    assert ChannelPruning().suggest(FixedTrial({"pruning.ratio": 0.0})) == {}


def test_half_of_the_channels_are_really_gone(context):
    network = ChannelPruning().compress(tiny.MobileNet(), HALF, context)
    widths = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [16, 32, 32, 8, 32, 16]
    assert network.block.depthwise[0].groups == 32


@pytest.mark.parametrize("build", NETWORKS)
def test_shapes_do_not_depend_on_the_weights(build, context):
    found = set()
    for seed in range(6):
        torch.manual_seed(seed)
        network = ChannelPruning().compress(build(), {"ratio": 0.25}, context)
        found.add(tuple(tuple(p.shape) for p in network.parameters()))
    assert len(found) == 1


@pytest.mark.parametrize("build", NETWORKS)
def test_the_logits_keep_their_number_and_fixed_layers_their_width(build, context):
    network = build()
    widths = [m.weight.shape[0] for f in tiny.fixed_layers(network) for m in _weighted(f)]
    ChannelPruning().compress(network, HALF, context)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, tiny.CLASSES)
    assert widths == [m.weight.shape[0] for f in tiny.fixed_layers(network) for m in _weighted(f)]


def test_channels_without_effect_go_first_and_the_function_stays(context):
    network = tiny.MobileNet().eval()
    block = network.block
    with torch.no_grad():
        for layer in (*block.expand[:2], *block.depthwise[:2]):
            layer.weight[::2] = 0
    fixed = [network.stem, block.gate[1], block.project]
    space = SimpleNamespace(fixed_layers=lambda network: fixed)
    settle_statistics(network, torch.from_numpy(context.calibration))
    expected = network(torch.from_numpy(context.calibration))
    ChannelPruning().compress(network, HALF, replace(context, space=space))
    assert block.depthwise[0].weight.shape[0] == 32
    torch.testing.assert_close(network(torch.from_numpy(context.calibration)), expected)


def test_it_trains_on_for_its_share_except_in_a_preview(context):
    shares = []
    trained = replace(context, retrain=lambda network, share, **_: shares.append(share))
    ChannelPruning().compress(tiny.MobileNet(), HALF, trained)
    ChannelPruning().compress(tiny.MobileNet(), HALF, context)
    assert shares == [0.3]


@pytest.mark.parametrize("training", [True, False])
def test_modes_are_left_as_found(training, context):
    network = tiny.MobileNet().train(training)
    network.block.gate.eval()
    ChannelPruning().compress(network, HALF, context)
    assert network.block.expand.training is training
    assert not network.block.gate.training


def test_removing_nothing_is_an_error(context):
    wide = replace(context, device=SimpleNamespace(alignment=128))
    with pytest.raises(errors.CompressionError, match=r"removed nothing.*alignment of 128"):
        ChannelPruning().compress(tiny.MobileNet(), HALF, wide)


def test_a_layer_that_then_fails_is_named(context):
    free = replace(context, space=SimpleNamespace(fixed_layers=lambda network: ()))
    with pytest.raises(errors.CompressionError, match=r"pruning, \S+ fails: .*fixed_layers"):
        ChannelPruning().compress(tiny.Shuffle(), HALF, free)


def test_logits_that_are_not_finite_are_an_error(context):
    network = tiny.MobileNet()
    nn.init.constant_(network.head.bias, float("nan"))
    with pytest.raises(errors.CompressionError, match="not finite"):
        ChannelPruning().compress(network, HALF, context)


def test_a_network_that_cannot_be_traced_is_a_candidates_error(context):
    broken = nn.Sequential(nn.Conv2d(3, 16, 1))
    with pytest.raises(errors.CompressionError, match="could not follow"):
        ChannelPruning().compress(broken, HALF, context)


@pytest.mark.parametrize("ratios", [(), (1.0,), (-0.1, 0.5)])
def test_impossible_ratios_are_refused(ratios):
    with pytest.raises(errors.ConfigError, match="ratios"):
        ChannelPruning(ratios=ratios)


def _weighted(module: nn.Module) -> list[nn.Module]:
    return [m for m in module.modules() if hasattr(m, "weight")]
