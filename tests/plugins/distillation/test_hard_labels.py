from __future__ import annotations

import numpy as np
import pytest
import torch
from orchestrator_distillation.compressor import Distillation
from torch import nn

from orchestrator import CompressionContext, errors
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial

HARD = {"alpha": 0.5, "kind": "hard"}


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


@pytest.fixture
def context() -> CompressionContext:
    images = np.random.default_rng(0).normal(size=(8, 1, 4, 4)).astype(np.float32)
    torch.manual_seed(0)
    return CompressionContext(None, None, images, seed=0, teacher=build().eval())


@pytest.fixture
def batch(context):
    """Images, logits of two heads that want a gradient, smoothed targets."""
    drawn = torch.randn(3, 8, 3, generator=torch.Generator().manual_seed(1))
    heads = torch.stack((drawn[0], drawn[1]), dim=1).requires_grad_()
    return torch.from_numpy(context.calibration), heads, torch.softmax(drawn[2], 1)


def log_share(logits, classes):
    return torch.log_softmax(logits, 1)[torch.arange(len(classes)), classes].mean()


@pytest.mark.parametrize("kinds", [("hard",), ("soft", "hard")])
def test_it_fulfils_the_contract(context, kinds):
    check_compressor(Distillation(kinds=kinds), context, build=build)


def test_the_loss_is_the_published_one(context, batch):
    images, heads, targets = batch
    loss = Distillation(kinds=("hard",)).loss(HARD, context)
    labels = -(targets * torch.log_softmax(heads[:, 0], 1)).sum(1).mean()
    taught = -log_share(heads[:, 1], context.teacher(images).argmax(1))
    torch.testing.assert_close(loss(images, heads, targets), labels / 2 + taught / 2)


def test_one_head_learns_from_both(context, batch):
    images, heads, targets = batch
    loss = Distillation().loss(HARD, context)
    alone = heads[:, 0]
    twice = torch.stack((alone, alone), dim=1)
    torch.testing.assert_close(loss(images, alone, targets), loss(images, twice, targets))


def test_labels_and_teacher_reach_one_head_each(context, batch):
    images, heads, targets = batch
    loss = Distillation().loss(HARD, context)
    loss(images, heads, targets).backward()
    (alone,) = torch.autograd.grad(nn.functional.cross_entropy(heads[:, 0], targets) / 2, heads)
    torch.testing.assert_close(heads.grad[:, 0], alone[:, 0])
    assert heads.grad[:, 1].abs().sum() > 0


def test_only_hard_labels_ask_for_each_heads_logits(context):
    compressor = Distillation()
    assert compressor.loss(HARD, context).per_head
    assert not compressor.loss({"alpha": 0.5}, context).per_head


def test_the_kind_is_asked_only_where_there_are_several():
    answers = {"distillation.alpha": 0.5}
    assert Distillation().suggest(FixedTrial(answers)) == {"alpha": 0.5}
    assert Distillation(kinds=("hard",)).suggest(FixedTrial(answers)) == HARD
    both = Distillation(kinds=("soft", "hard"))
    assert both.suggest(FixedTrial({**answers, "distillation.kind": "hard"})) == HARD
    assert both.suggest(FixedTrial({**answers, "distillation.kind": "soft"})) == {"alpha": 0.5}


@pytest.mark.parametrize(
    "options",
    [{"kinds": []}, {"kinds": ["firm"]}, {"kinds": ["hard"], "alphas": [0.0, 1.0]}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(errors.ConfigError, match=r"kinds|alphas"):
        installed().create("compressor", "distillation", options)
