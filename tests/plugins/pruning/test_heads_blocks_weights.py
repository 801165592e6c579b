"""Pruning of what is no channel: attention heads, residual blocks, single weights."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from networks import fresh
from orchestrator_pruning.blocks import BlockPruning
from orchestrator_pruning.heads import HeadPruning
from orchestrator_pruning.weights import WeightPruning
from torch import nn

from orchestrator import CompressionContext, Genotype, ImageFacts, attention_heads, errors
from orchestrator.bundle import BundleContents, rebuild, write_bundle
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial, PartlyKnownTrial

HALF = {"ratio": 0.5}
FACTS = ImageFacts(32, 3, tuple("abcdefghij"), (0.5,) * 3, (0.25,) * 3, "CC0-1.0")


def drawn(name: str, **choices: object) -> tuple[dict[str, Any], nn.Module]:
    space = installed().create("space", name, {"preset": "small"})
    architecture = space.suggest(PartlyKnownTrial(choices, 0))
    torch.manual_seed(0)
    return architecture, fresh(space, architecture)


def former() -> nn.Module:
    return drawn("vit", depth=4, **{f"blocks.{block}.heads": 4 for block in range(4)})[1]


def mobile() -> nn.Module:
    """Its stages of three blocks have two that are equal."""
    return mobile_point()[1]


def mobile_point() -> tuple[dict[str, Any], nn.Module]:
    equal = {"kernel": 3, "expansion": 3}
    blocks = {
        f"stages.{s}.blocks.{b}.{what}": value
        for s in (1, 2)
        for b in range(3)
        for what, value in equal.items()
    }
    return drawn("mobilenetv2", **{"stages.1.depth": 3, "stages.2.depth": 3, **blocks})


@pytest.fixture
def context() -> CompressionContext:
    images = np.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype(np.float32)
    space = SimpleNamespace(fixed_layers=lambda network: ())
    targets = (np.arange(8) % 10).astype(np.int64)
    return CompressionContext(space, SimpleNamespace(alignment=8), images, 0, targets=targets)


@pytest.mark.parametrize("options", [{}, {"criterion": "taylor"}, {"max_drop": 0.1}], ids=str)
def test_head_pruning_fulfils_the_contract(options, context):
    check_compressor(HeadPruning(**options), context, build=former)


@pytest.mark.parametrize("options", [{"steps": 2}, {"max_drop": 0.1}], ids=str)
def test_block_pruning_fulfils_the_contract(options, context):
    check_compressor(BlockPruning(ratios=(0.0, 0.5), **options), context, build=mobile)


@pytest.mark.parametrize("options", [{"steps": 2}, {"pattern": "2:4"}, {"max_drop": 0.1}], ids=str)
def test_weight_pruning_fulfils_the_contract(options, context):
    check_compressor(WeightPruning(**options), context, build=mobile)


def test_half_of_every_attention_s_heads_are_gone(context):
    network = HeadPruning().compress(former(), HALF, context)
    assert [heads.count for heads in attention_heads(network)] == [2] * 4
    assert context.report["head_pruning.achieved"] == 0.5


@pytest.mark.parametrize("criterion", ["magnitude", "taylor"])
def test_heads_that_nothing_reads_go_first_and_the_answers_stay(criterion, context):
    network, images = former().eval(), torch.from_numpy(context.calibration)
    with torch.no_grad():
        for heads in attention_heads(network):
            (layer,) = heads.readers
            layer.weight.view(len(layer.weight), heads.count, -1)[:, 1:3] = 0
        before = network(images)
        HeadPruning().compress(network, {**HALF, "criterion": criterion}, context)
        assert torch.allclose(network(images), before, atol=1e-5)


def test_a_network_without_attention_has_no_heads_to_lose(context):
    with pytest.raises(errors.CompressionError, match="no attention tells where its heads lie"):
        HeadPruning().compress(mobile(), HALF, context)


def test_blocks_that_change_nothing_go_first_and_the_answers_stay(context):
    network, images = mobile().eval(), torch.from_numpy(context.calibration)
    idle = network.get_submodule("stages.1.2")
    nn.init.zeros_(idle.layers.project.norm.weight)
    nn.init.zeros_(network.get_submodule("stages.2.1").layers.project.norm.weight)
    BlockPruning(retrain_share=0).compress(network, HALF, context)
    left = [name for name, m in network.named_modules() if type(m).__name__ == "LeftOut"]
    assert left == ["stages.1.2", "stages.2.1"]
    assert context.report["block_pruning.achieved"] == 0.5
    assert network(images).shape == (8, 10)


def test_where_no_blocks_are_equal_none_may_go(context):
    with pytest.raises(errors.CompressionError, match=r"block_pruning\.ratio=0\.5 removed nothing"):
        BlockPruning().compress(nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), HALF, context)


def test_zeros_are_kept_in_training_and_none_of_it_is_left_afterwards(context):
    def train(network, share, **_):
        for parameter in network.parameters():
            parameter.data += 1
        network(torch.from_numpy(context.calibration))

    held = replace(context, retrain=train, report={})
    network = WeightPruning().compress(mobile(), {"ratio": 0.8}, held)
    weight = network.get_submodule("last.conv").weight
    assert float((weight == 0).float().mean()) == pytest.approx(0.8, abs=0.01)
    assert not any(module._forward_pre_hooks for module in network.modules())
    assert held.report["weight_pruning.achieved"] == pytest.approx(0.8, abs=0.01)
    assert held.report["weight_pruning.packed_share"] < 0.6
    assert held.report["weight_pruning.parameters_removed"] == 0.0
    assert "no smaller or faster" in held.report["weight_pruning.note"]


def test_of_every_four_inputs_two_stay(context):
    network = WeightPruning(pattern="2:4").compress(mobile(), {"pattern": "2:4"}, context)
    weight = network.get_submodule("last.conv").weight.flatten(1)
    counts = (weight.view(len(weight), -1, 4) != 0).sum(2)
    assert counts.unique().tolist() == [2]


def test_a_pattern_is_a_choice_of_its_own():
    pruning = WeightPruning(pattern="2:4")
    assert pruning.suggest(FixedTrial({"weight_pruning.pattern": "2:4"})) == {"pattern": "2:4"}
    assert pruning.suggest(FixedTrial({"weight_pruning.pattern": "none"})) == {}


@pytest.mark.parametrize("pattern", ["4:2", "2", "a:b", "0:4"])
def test_patterns_that_make_no_sense_are_refused(pattern):
    with pytest.raises(errors.ConfigError, match="N:M with 0 < N < M"):
        WeightPruning(pattern=pattern)


@pytest.mark.parametrize(
    ("compressor", "name"), [(HeadPruning(), "vit"), (BlockPruning(), "mobilenetv2")]
)
def test_what_is_left_rebuilds_from_its_bundle_and_answers_alike(
    compressor, name, context, tmp_path
):
    choices = {"depth": 4, **{f"blocks.{block}.heads": 4 for block in range(4)}}
    architecture, network = drawn(name, **choices) if name == "vit" else mobile_point()
    network = compressor.compress(network, HALF, context).eval()
    genotype = Genotype(name, "small", architecture)
    folder = write_bundle(tmp_path / "bundle", BundleContents(genotype, network, FACTS))
    images = torch.from_numpy(context.calibration)
    assert torch.equal(rebuild(folder)(images), network(images))
