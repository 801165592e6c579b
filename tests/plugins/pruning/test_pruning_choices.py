"""What pruning is asked for: by which criterion, how evenly, in how many steps, how far."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_networks as tiny
import torch
from orchestrator_pruning.channels import ChannelPruning
from orchestrator_pruning.pruning import scheduled
from torch import nn

from orchestrator import CompressionContext, SoftLabelLoss, errors, settle_statistics
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial

NETWORKS = [tiny.MobileNet, tiny.Former, tiny.Shuffle, tiny.Concatenated]
CRITERIA = ("magnitude", "taylor", "median")
HALF = {"ratio": 0.5}


@pytest.fixture
def context() -> CompressionContext:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, 1, 8, 8)).astype(np.float32)
    space = SimpleNamespace(fixed_layers=tiny.fixed_layers)
    targets = np.arange(8) % tiny.CLASSES
    return CompressionContext(
        space, SimpleNamespace(alignment=4), images, seed=0, targets=targets.astype(np.int64)
    )


class Trainings:
    """Stands for training: remembers what it was asked for."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.losses: list[Any] = []
        self.steps: list[Any] = []

    def __call__(self, network, share, *, loss=None, steps=None):
        self.shares.append(share)
        self.losses.append(loss)
        self.steps.append(steps)


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize(
    "options",
    [
        {"criteria": ("taylor",)},
        {"criteria": ("median",), "steps": 3},
        {"spread": "sensitivity"},
        {"max_drop": 0.1},
        {"round_to": 2},
    ],
    ids=str,
)
def test_every_way_fulfils_the_contract(build, options, context):
    check_compressor(ChannelPruning(ratios=(0.0, 0.5), **options), context, build=build)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_takes_first_what_does_nothing(criterion, context):
    network = tiny.MobileNet().eval()
    block = network.block
    with torch.no_grad():
        for layer in (*block.expand[:2], *block.depthwise[:2]):
            layer.weight[::2] = 0
            layer.weight[1::2] += torch.rand_like(layer.weight[1::2])
    last = block.project[0].weight.detach().clone()
    fixed = [network.stem, block.gate[1], block.project]
    held = replace(context, space=SimpleNamespace(fixed_layers=lambda _: fixed))
    ChannelPruning().compress(network, {**HALF, "criterion": criterion}, held)
    assert torch.equal(block.project[0].weight, last[:, 1::2])


def test_taylor_without_targets_is_refused(context):
    blind = replace(context, targets=None)
    with pytest.raises(errors.CompressionError, match="need the calibration images' targets"):
        ChannelPruning().compress(tiny.MobileNet(), {**HALF, "criterion": "taylor"}, blind)


def test_the_criterion_is_asked_for_where_there_are_several():
    pruning = ChannelPruning(criteria=CRITERIA)
    answers = {"pruning.ratio": 0.5, "pruning.criterion": "median"}
    assert pruning.suggest(FixedTrial(answers)) == {"ratio": 0.5, "criterion": "median"}
    assert ChannelPruning().suggest(FixedTrial({"pruning.ratio": 0.5})) == HALF


def test_a_group_that_the_loss_does_not_mind_loses_more(context):
    """The block changes nothing, as its last layer is 0: all of it may go for nothing.

    All answers are right and sure, so that the rest cannot go for nothing.
    """
    torch.manual_seed(0)
    network = tiny.MobileNet().eval()
    nn.init.zeros_(network.block.project[1].weight)
    settle_statistics(network, torch.from_numpy(context.calibration))
    network.head.weight.data *= 50
    targets = network(torch.from_numpy(context.calibration)).argmax(1).numpy()
    context = replace(context, targets=targets)
    even = copy.deepcopy(network)
    ChannelPruning(round_to=1).compress(even, {"ratio": 0.3}, context)
    choices = {"ratio": 0.3, "spread": "sensitivity"}
    ChannelPruning(round_to=1, spread="sensitivity").compress(network, choices, context)
    assert network.block.expand[0].out_channels < even.block.expand[0].out_channels
    assert network.stem[0].out_channels > even.stem[0].out_channels


def test_most_goes_early_and_the_last_step_is_the_ratio_itself():
    found = scheduled(0.8, 4)
    assert found[-1] == pytest.approx(0.8)
    assert found[0] == pytest.approx(0.8 * (1 - 0.75**3))
    assert found[1] - found[0] > found[3] - found[2] > 0


def test_each_step_is_trained_for_its_part_and_the_shape_is_that_of_one_step(context):
    trainings = Trainings()
    held = replace(context, retrain=trainings)
    stepwise = ChannelPruning(steps=3).compress(tiny.MobileNet(), HALF, held)
    at_once = ChannelPruning().compress(tiny.MobileNet(), HALF, context)
    assert trainings.shares == pytest.approx([0.1, 0.1, 0.1])
    assert [p.shape for p in stepwise.parameters()] == [p.shape for p in at_once.parameters()]


def test_its_own_unpruned_self_teaches_it(context):
    trainings = Trainings()
    network = tiny.MobileNet().eval()
    whole = copy.deepcopy(network)
    ChannelPruning().compress(network, HALF, replace(context, retrain=trainings))
    (loss,) = trainings.losses
    assert isinstance(loss, SoftLabelLoss)
    images = torch.from_numpy(context.calibration)
    torch.testing.assert_close(loss.teacher(images), whole(images).detach())


def test_a_teacher_that_is_given_teaches_it(context):
    trainings, teacher = Trainings(), tiny.MobileNet()
    held = replace(context, retrain=trainings, teacher=teacher)
    ChannelPruning().compress(tiny.MobileNet(), HALF, held)
    assert trainings.losses[0].teacher.network is teacher


@pytest.mark.parametrize("options", [{"teacher_share": 0.0}, {}])
def test_the_candidate_s_own_loss_is_kept_where_it_follows_a_teacher_already(options, context):
    trainings = Trainings()
    held = replace(context, retrain=trainings, taught=not options)
    ChannelPruning(**options).compress(tiny.MobileNet(), HALF, held)
    assert trainings.losses == [None]


def test_statistics_are_those_of_the_pruned_network(context):
    network = ChannelPruning().compress(tiny.MobileNet(), HALF, context)
    layer, images = network.stem, torch.from_numpy(context.calibration)
    expected = layer[0](images).mean((0, 2, 3))
    torch.testing.assert_close(layer[1].running_mean, expected, rtol=1e-4, atol=1e-5)


def test_what_was_asked_for_and_what_was_reached_are_told(context):
    ChannelPruning(round_to=8).compress(tiny.MobileNet(), {"ratio": 0.3}, context)
    assert context.report["pruning.asked"] == 0.3
    assert 0.2 < context.report["pruning.achieved"] < 0.5
    assert 0 < context.report["pruning.parameters_removed"] < 1


def judged_by_width(least: float):
    """A metric that is lost with the channels of the first layer, from `least` of 32 on."""
    return lambda network: 0.9 if network.stem[0].out_channels >= least else 0.5


@pytest.mark.parametrize(("least", "asked"), [(20, 0.3), (8, 0.7)])
def test_the_strongest_ratio_within_the_drop_is_found_and_told(least, asked, context):
    trainings = Trainings()
    held = replace(context, retrain=trainings, judge=judged_by_width(least), report={})
    network = ChannelPruning(max_drop=0.01).compress(tiny.MobileNet(), {"max_drop": 0.01}, held)
    assert held.report["pruning.asked"] == asked
    assert network.stem[0].out_channels >= least
    assert trainings.steps[-1] is None
    assert 1 < len(trainings.steps) <= 5
    assert set(trainings.steps[:-1]) == {20}


def test_where_every_ratio_loses_more_the_network_stays_whole(context):
    held = replace(context, judge=judged_by_width(32), report={})
    network = ChannelPruning(max_drop=0.01).compress(tiny.MobileNet(), {"max_drop": 0.01}, held)
    assert held.report["pruning.asked"] == held.report["pruning.achieved"] == 0.0
    assert network.stem[0].out_channels == 32


def test_with_a_drop_the_search_chooses_between_that_and_none():
    pruning = ChannelPruning(max_drop=0.02)
    assert pruning.suggest(FixedTrial({"pruning.max_drop": 0.02})) == {"max_drop": 0.02}
    assert pruning.suggest(FixedTrial({"pruning.max_drop": 0.0})) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"criteria": ("random",)},
        {"criteria": ()},
        {"spread": "odd"},
        {"max_drop": 2.0},
        {"round_to": 0},
        {"steps": 0},
        {"teacher_share": 1.5},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(errors.ConfigError, match=next(iter(options))):
        ChannelPruning(**options)
