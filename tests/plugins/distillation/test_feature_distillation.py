"""A student looks where its teacher looks."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from footings import footing
from networks import fresh
from orchestrator_distillation.attention_maps import looking_into
from orchestrator_distillation.compressor import Distillation
from torch import nn
from toys import ToyData

from orchestrator import CompressionContext, Ensemble, errors
from orchestrator.config import TrainConfig
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.training.batches import views_of
from orchestrator.training.epochs import TrainRun, train, watching
from orchestrator.trials import FixedTrial, RandomTrial

FEATURES = {"alpha": 0.5, "kind": "features"}
KINDS = ("soft", "hard", "features")


def convolutional(width: int = 8) -> nn.Module:
    """Maps of 4 and of 2 places a side, of images of 8 px."""
    first = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.ReLU())
    return nn.Sequential(first, second, nn.Flatten(), nn.Linear(4 * width, 2))


@pytest.fixture
def context() -> CompressionContext:
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype(np.float32)
    return CompressionContext(None, None, images, 0, teacher=convolutional(16).eval(), views=1)


def looked(network: nn.Module, context: CompressionContext) -> float:
    """The part of the loss that is the teacher's."""
    without = replace(context, loss=lambda images, logits, targets: logits.sum() * 0)
    loss = Distillation(kinds=KINDS).loss(FEATURES, without)
    images = torch.from_numpy(context.calibration)
    with watching(network, loss):
        return loss(images, network(images), torch.empty(0)).item()


def test_every_kind_fulfils_the_contract(context):
    check_compressor(Distillation(kinds=KINDS), context, build=convolutional)


def test_nothing_is_to_learn_of_one_that_looks_alike(context):
    assert looked(context.teacher, context) == pytest.approx(0, abs=1e-5)
    assert 0 < looked(convolutional(), context) <= 0.5 * 10


def test_training_brings_a_student_s_looks_nearer(context):
    student = convolutional()
    loss = Distillation(kinds=KINDS).loss(FEATURES, context)
    before = looked(student, context)
    optimizer = torch.optim.Adam(student.parameters(), 0.01)
    images, targets = torch.from_numpy(context.calibration), torch.full((8, 2), 0.5)
    with watching(student, loss):
        for _ in range(40):
            optimizer.zero_grad()
            loss(images, student(images), targets).backward()
            optimizer.step()
    assert looked(student, context) < before / 2
    assert not any(module._forward_hooks for module in student.modules())


def test_it_needs_to_look_into_the_student(context):
    loss = Distillation(kinds=KINDS).loss(FEATURES, context)
    with pytest.raises(errors.CompressionError, match=r"loss\.watching"):
        loss(torch.from_numpy(context.calibration), torch.zeros(8, 2), torch.zeros(8, 2))


def test_networks_without_maps_have_nothing_to_compare(context):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(errors.CompressionError, match="none in the student"):
        looked(flat, context)


@pytest.mark.parametrize(
    ("name", "sides"),
    [("mobilenetv2", 4), ("vit", 8), ("deit", 8), ("swin", 4), ("efficientformer", 4)],
)
def test_maps_are_found_in_convolutions_and_tokens_alike(name, sides):
    space = installed().create("space", name, {"preset": "small"})
    point = next(iter(space.published().values()))
    network = fresh(space, space.suggest(FixedTrial(point.choices)))
    with looking_into(network) as seen, torch.no_grad():
        network.eval()(torch.randn(2, 3, 32, 32))
    assert sides in seen
    assert all(found.shape == (2, side * side) for side, found in seen.items())


def test_a_transformer_learns_from_a_convolutional_network(context):
    images = np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)
    made = []
    for name in ("mobilenetv3", "vit"):
        space = installed().create("space", name, {"preset": "small"})
        made.append(fresh(space, space.suggest(RandomTrial(0))).eval())
    held = replace(context, calibration=images, teacher=made[0])
    assert looked(made[1], held) > 0


def test_of_several_teachers_the_first_is_looked_at(context):
    both = replace(context, teacher=Ensemble([context.teacher, convolutional(4)]).eval())
    student = convolutional()
    assert looked(student, both) == pytest.approx(looked(student, context))


def trained(config: TrainConfig, kind: str, epochs: int = 3) -> int:
    """How many images the teacher was asked about in a training of so many epochs."""
    data, compressor = ToyData(), Distillation(kinds=KINDS)
    teacher = convolutional().eval()
    views = views_of(data, config)
    context = CompressionContext(None, None, np.empty(0), 0, teacher=teacher, views=views)
    choices = {"alpha": 0.5} if kind == "soft" else {"alpha": 0.5, "kind": kind}
    for seed in range(2):  # of two candidates
        loss = compressor.loss(choices, context)
        run = TrainRun(epochs=epochs, seed=seed, loss=loss)
        train(convolutional(), footing(data), config, run)
    return compressor._teacher(kind, context).images_asked


PLAIN = TrainConfig(batch_size=8, crop_padding=0, mirror="off")


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_and_candidates_after_the_first_cost_no_forward_of_the_teacher(kind):
    """Two kinds of images, so that a batch may hold one several times."""
    asked = trained(PLAIN, kind)
    assert asked <= 32


@pytest.mark.parametrize("change", [{"mixup_alpha": 0.2}, {"crop_padding": 1}], ids=str)
def test_images_that_change_at_random_are_asked_about_each_time(change):
    assert trained(replace(PLAIN, **change), "soft") == 2 * 3 * 32


def test_a_compressor_travels_without_what_its_teacher_said(context):
    compressor = Distillation()
    compressor.loss({"alpha": 0.5}, context)
    assert pickle.loads(pickle.dumps(compressor))._teachers == {}


def test_an_ensemble_answers_the_mean_of_its_members_probabilities():
    torch.manual_seed(0)
    members, images = [convolutional(4), convolutional(8)], torch.randn(3, 1, 8, 8)
    found = Ensemble(members)(images).softmax(1)
    expected = sum(member(images).softmax(1) for member in members) / 2
    torch.testing.assert_close(found, expected)
