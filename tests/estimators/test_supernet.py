"""The estimator: trained once, kept, resumed, inherited from; refused where names mix roles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import footings
import pytest
import torch
from networks import fresh
from sharing_spaces import Flat, Staged
from torch import nn

from orchestrator import Dataset, EstimationContext, Genotype, SearchSpace
from orchestrator.config import TrainConfig
from orchestrator.errors import ConfigError, Interrupted
from orchestrator.estimators.supernet import SupernetEstimator
from orchestrator.supernet.store import Store
from orchestrator.testing.estimator import check_estimator

GENOTYPE = Genotype("staged", "small", {"width": 12, "kernel": 3, "depths": [2, 1]})


def estimator(**options) -> SupernetEstimator:
    return SupernetEstimator(
        **{"epochs": 10, "paths": 48, "images": 256, "batch_size": 32, **options}
    )


@pytest.fixture
def context(tmp_path: Path, small_digits: Dataset) -> EstimationContext:
    return footings.context(Staged(), small_digits, TrainConfig(epochs=2), tmp_path / "weights")


def built(space: SearchSpace) -> nn.Module:
    torch.manual_seed(0)
    return fresh(space, GENOTYPE.architecture, classes=10, in_channels=1, image_size=16)


def test_it_fulfils_the_contract(context: EstimationContext):
    check_estimator(estimator(), context)


def test_a_candidate_inherits_what_was_trained_once(context: EstimationContext):
    shared = estimator()
    (told,) = shared.prepare(context)
    assert told.startswith("shared weights are sound")
    assert shared.approximates(context)
    estimate = shared.estimate(built(context.space), GENOTYPE, context)
    assert estimate.curve[0] > 0.3
    weights = shared.initial_weights(GENOTYPE, context)
    assert weights is not None
    state = estimate.network.state_dict()
    assert all(torch.equal(weights[n], state[n]) for n, _ in estimate.network.named_parameters())


def test_what_is_prepared_is_prepared_once(context: EstimationContext):
    first = estimator().prepare(context)
    file = context.weights / "supernet.safetensors"
    written = file.stat().st_mtime_ns
    assert estimator().prepare(context) == first
    assert file.stat().st_mtime_ns == written


def test_an_interrupted_training_goes_on_and_ends_alike(context: EstimationContext, tmp_path: Path):
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        estimator().prepare(replace(context, on_progress=interrupt))
    assert (context.weights / "supernet.partial").exists()
    estimator().prepare(context)
    assert not (context.weights / "supernet.partial").exists()
    whole = replace(context, weights=tmp_path / "whole")
    estimator().prepare(whole)
    ours, theirs = (
        Store.load(context.space, c.weights / "supernet.safetensors")[0] for c in (context, whole)
    )
    assert all(torch.allclose(ours.tensors[n], theirs.tensors[n], atol=1e-5) for n in ours)


def test_mixed_roles_fall_back_to_training_and_say_why(context: EstimationContext, monkeypatch):
    monkeypatch.setattr("orchestrator.supernet.admission._LEAST_SCORE", 9.0)
    flat = replace(context, space=Flat())
    shared = estimator()
    (told,) = shared.prepare(flat)
    assert "every candidate is trained" in told
    assert "0.1.0.weight" in told
    assert not shared.approximates(flat)
    estimate = shared.estimate(built(flat.space), GENOTYPE, flat)
    assert len(estimate.curve) == context.train.epochs


def test_estimates_leave_the_shared_weights_alone(context: EstimationContext):
    shared = estimator()
    shared.prepare(context)
    first = shared.estimate(built(context.space), GENOTYPE, context)
    with torch.no_grad():
        for parameter in first.network.parameters():
            parameter.zero_()
    assert shared.estimate(built(context.space), GENOTYPE, context).curve == first.curve


@pytest.mark.parametrize(("option", "value"), [("method", "sandwhich"), ("epochs", 0)])
def test_a_wrong_option_is_named(option: str, value: object):
    with pytest.raises(ConfigError, match=f"estimator.{option}"):
        SupernetEstimator(**{option: value})  # type: ignore[arg-type]
