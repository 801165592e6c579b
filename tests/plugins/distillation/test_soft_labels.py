from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from orchestrator_distillation.compressor import Distillation
from torch import nn

from orchestrator import CompressionContext, errors
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial


def build(classes: int = 3) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, classes))


@pytest.fixture
def context() -> CompressionContext:
    images = np.random.default_rng(0).normal(size=(8, 1, 4, 4)).astype(np.float32)
    torch.manual_seed(0)
    return CompressionContext(None, None, images, seed=0, teacher=build().eval())


@pytest.fixture
def batch(context):
    """Images, logits that want a gradient, smoothed targets."""
    targets = torch.softmax(torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), 1)
    return torch.from_numpy(context.calibration), torch.zeros(8, 3, requires_grad=True), targets


def test_it_fulfils_the_contract(context):
    check_compressor(Distillation(), context, build=build)


def test_the_loss_is_the_published_one(context, batch):
    images, logits, targets = batch
    logits = logits + torch.arange(3.0)
    loss = Distillation(temperature=4.0).loss({"alpha": 0.25}, context)
    soft = torch.softmax(context.teacher(images) / 4, 1)
    labels = -(targets * torch.log_softmax(logits, 1)).sum(1).mean()
    taught = -(soft * torch.log_softmax(logits / 4, 1)).sum(1).mean()
    expected = 0.75 * labels + 0.25 * 16 * taught
    torch.testing.assert_close(loss(images, logits, targets), expected)


def test_the_whole_share_is_least_where_student_and_teacher_agree(context, batch):
    images, _, targets = batch
    logits = context.teacher(images).detach().requires_grad_()
    loss = Distillation().loss({"alpha": 1.0}, context)(images, logits, targets)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)


def test_the_teacher_answers_in_eval_mode_and_learns_nothing(context, batch):
    images, logits, targets = batch
    context.teacher.train()
    loss = Distillation().loss({"alpha": 0.5}, context)
    assert loss(images, logits, targets) == loss(images, logits, targets)
    loss(images, logits, targets).backward()
    assert logits.grad is not None
    assert all(parameter.grad is None for parameter in context.teacher.parameters())


def test_without_a_teacher_it_refuses(context):
    with pytest.raises(errors.CompressionError, match="needs a teacher"):
        Distillation().loss({"alpha": 0.5}, replace(context, teacher=None))


def test_a_teacher_of_other_classes_is_refused(context, batch):
    other = replace(context, teacher=build(classes=7))
    loss = Distillation().loss({"alpha": 0.5}, other)
    with pytest.raises(errors.CompressionError, match=r"\(8, 7\).*\(8, 3\)"):
        loss(*batch)


def test_no_distillation_is_no_choice():
    assert Distillation().suggest(FixedTrial({"distillation.alpha": 0.0})) == {}


def test_its_offer_creates_it():
    distillation = installed().create("compressor", "distillation", {"alphas": [0, 0.9]})
    assert distillation.needs_teacher
    assert distillation.alphas == (0.0, 0.9)


@pytest.mark.parametrize("options", [{"alphas": (2.0,)}, {"temperature": 0.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(errors.ConfigError, match=next(iter(options))):
        Distillation(**options)


def test_distillations_compose(context, batch):
    """Each weighs the loss before it, whichever form that has."""
    images, _, targets = batch
    heads = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(2))
    hard = Distillation(kinds=("hard",)).loss({"alpha": 0.5, "kind": "hard"}, context)
    both = Distillation(temperature=1.0).loss({"alpha": 0.25}, replace(context, loss=hard))
    assert both.per_head
    soft = torch.softmax(context.teacher(images), 1)
    taught = -(soft * torch.log_softmax(heads.mean(1), 1)).sum(1).mean()
    expected = 0.75 * hard(images, heads, targets) + 0.25 * taught
    torch.testing.assert_close(both(images, heads, targets), expected)


def test_hard_labels_around_hard_labels_keep_the_heads_apart(context, batch):
    images, _, targets = batch
    heads = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(2))
    compressor, hard = Distillation(kinds=("hard",)), {"alpha": 0.5, "kind": "hard"}
    inner = compressor.loss(hard, context)
    outer = compressor.loss(hard, replace(context, loss=inner))
    answers = context.teacher(images).argmax(1)
    taught = torch.nn.functional.cross_entropy(heads[:, -1], answers)
    expected = 0.5 * inner(images, heads, targets) + 0.5 * taught
    torch.testing.assert_close(outer(images, heads, targets), expected)
