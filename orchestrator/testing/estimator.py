"""The contract suite of estimators: call `check_estimator` in a plugin's own tests."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydantic
import torch
from torch import nn

from orchestrator.config import TrainConfig
from orchestrator.contracts import (
    Dataset,
    Estimate,
    EstimationContext,
    Estimator,
    SearchSpace,
    Task,
)
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Step
from orchestrator.testing.task import answer_shape
from orchestrator.training.building import build_network, draw_plain
from orchestrator.training.estimation import estimation_context
from orchestrator.training.footing import Footing
from orchestrator.trials import RandomTrial

__all__ = ["check_estimator", "estimation"]


def check_estimator(estimator: Estimator, context: EstimationContext) -> None:
    """Raise AssertionError with a sentence if `estimator` breaks its contract.

    Cost: `prepare` once and `estimate` four times with `context`, so give it few epochs, few
    images and a space of small networks.
    """
    estimator = pickle.loads(pickle.dumps(estimator))
    assert estimator.name, "an estimator has a name"
    epochs = estimator.training_epochs(context.train)
    assert min(epochs) >= 0, f"a forecast goes by two numbers of epochs, found {epochs}"
    most = estimator.most_images
    assert most is None or most > 0, f"most_images is a number above 0 or None, found {most}"
    estimator.prepare(context)
    genotype = _genotype(context)
    first = _checked(estimator, genotype, context)
    second = _checked(estimator, genotype, context)
    assert first.curve == second.curve, f"one seed, two curves: {first.curve}, {second.curve}"
    _check_weights(estimator, genotype, context)
    _check_reports(estimator, genotype, context)


def estimation(
    space: SearchSpace,
    dataset: Dataset,
    folder: Path,
    *,
    task: Task | None = None,
    **recipe: Any,
) -> EstimationContext:
    """A context for `check_estimator`: how a run would train, judge and keep networks in `folder`.

    `task` is classification by default; `recipe` are settings of `TrainConfig`.
    """
    chosen = task or installed().create("task", "classification", {})
    config = pydantic.TypeAdapter(TrainConfig).validate_python(recipe)
    footing = Footing(chosen, dataset)
    return estimation_context(footing, space, config, folder / "weights", seed=0)


def _genotype(context: EstimationContext) -> Genotype:
    return draw_plain(context.space, context.task, RandomTrial(0))


def _built(genotype: Genotype, context: EstimationContext) -> nn.Module:
    return build_network(context.space, genotype, context.facts, seed=0, task=context.task)


def _checked(estimator: Estimator, genotype: Genotype, context: EstimationContext) -> Estimate:
    random_state = torch.get_rng_state()
    estimate = estimator.estimate(_built(genotype, context), genotype, context)
    untouched = torch.equal(random_state, torch.get_rng_state())
    assert untouched, "torch's global random state is left as it was"
    assert estimate.curve, "the curve holds at least one figure"
    assert all(0 <= value <= 1 for value in estimate.curve), f"not in [0, 1]: {estimate.curve}"
    assert not estimate.stopped, "nobody asked it to stop"
    _check_network(estimate.network.eval(), context)
    return estimate


def _check_network(network: nn.Module, context: EstimationContext) -> None:
    facts = context.facts
    with torch.no_grad():
        answer = network(torch.zeros(2, *facts.shape))
    shape = (2, *answer_shape(context.task.outputs(facts), facts))
    assert tuple(answer.shape) == shape, f"answers are {tuple(answer.shape)}, expected {shape}"
    assert bool(torch.isfinite(answer).all()), "answers are finite"


def _check_weights(estimator: Estimator, genotype: Genotype, context: EstimationContext) -> None:
    weights = estimator.initial_weights(genotype, context)
    if weights is not None:
        _built(genotype, context).load_state_dict(dict(weights))
    other = replace(genotype, compression=(Step("pruning", {"ratio": 0.5}),))
    compressed = estimator.initial_weights(other, context)
    alike = (compressed is None) == (weights is None)
    assert alike, "a compressed candidate starts from its uncompressed architecture's weights"


def _check_reports(estimator: Estimator, genotype: Genotype, context: EstimationContext) -> None:
    """`on_epoch` sees the whole curve, and its False is obeyed."""
    seen: list[float] = []

    def watch(epoch: int, reached: float) -> bool:
        seen.append(reached)
        assert epoch == len(seen), f"epoch {epoch} was reported as number {len(seen)}"
        return True

    network = _built(genotype, context)
    estimate = estimator.estimate(network, genotype, replace(context, on_epoch=watch))
    assert seen in ([], list(estimate.curve)), f"reported {seen}, returned {estimate.curve}"
    halting = replace(context, on_epoch=lambda epoch, reached: False)
    halted = estimator.estimate(_built(genotype, context), genotype, halting)
    obeyed = len(halted.curve) == 1 and halted.stopped == (len(estimate.curve) > 1)
    assert not seen or obeyed, f"told to stop after one epoch, it gave {halted}"
