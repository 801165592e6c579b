"""The contract suite of tasks: call `check_task` in a plugin's own tests."""

from __future__ import annotations

import json
import math
import pickle
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pydantic
import torch
from torch import Tensor

from orchestrator.config import TrainConfig
from orchestrator.contracts import (
    Batch,
    Classes,
    Dataset,
    ImageFacts,
    Outputs,
    SearchSpace,
    Task,
    samples_of,
)
from orchestrator.trials import FixedTrial, RandomTrial

__all__ = ["answer_shape", "check_task"]

_IMAGES = 12
_DRAWS = 8


def check_task(task: Task, dataset: Dataset, space: SearchSpace | None = None) -> None:
    """Raise AssertionError with a sentence if `task` breaks its contract.

    `dataset` has targets that the task can learn; at least twelve validation images are looked
    at. With `space`, networks of it are built and asked too. Cost: below a second.
    """
    task = pickle.loads(pickle.dumps(task))
    _check_metrics(task)
    facts = dataset.facts
    pixels, targets = samples_of(dataset, "validation").read(np.arange(_IMAGES))
    batch = _batch(torch.from_numpy(pixels), torch.from_numpy(targets), facts)
    answers = _random((_IMAGES, *answer_shape(task.outputs(facts), facts)), seed=0)
    heads = _check_heads(task)
    _check_batch(task, batch)
    _check_loss(task, batch, answers)
    _check_weights(task, batch, answers)
    _check_judge(task, facts, answers, batch.targets)
    _check_distance(task, answers)
    assert 0 <= task.chance(facts) < 1, f"chance is {task.chance(facts)}, expected a share"
    if space is not None:
        _check_networks(task, space, heads, facts)


def _check_metrics(task: Task) -> None:
    assert task.name.isidentifier(), f"{task.name!r} is no configuration key"
    names = [metric.name for metric in task.metrics]
    assert names, "a task has at least one metric"
    assert len(set(names)) == len(names), f"metrics of one name: {names}"
    assert all(name.isidentifier() for name in names), f"{names} are to be configuration keys"
    leading = task.leading
    assert (leading.unit, leading.direction) == ("share", "maximize"), (
        f"the first metric leads: it is a share that is maximised, found {leading}"
    )


def _check_heads(task: Task) -> list[Mapping[str, object]]:
    """The heads that a few draws give."""
    heads = []
    for seed in range(_DRAWS):
        trial = RandomTrial(seed)
        head = task.suggest(trial)
        assert task.suggest(FixedTrial(trial.choices)) == head, "equal answers gave two heads"
        assert json.loads(json.dumps(head)) == dict(head), f"{head} does not survive JSON"
        for name in trial.choices:
            assert name.startswith("head."), f"{name!r} does not begin with 'head.'"
        if head not in heads:
            heads.append(head)
    return heads


def _check_batch(task: Task, batch: Batch) -> None:
    recipe = pydantic.TypeAdapter(TrainConfig).validate_python({"crop_padding": 2})
    before = batch.pixels.clone(), batch.targets.clone()
    images, targets = task.batch(batch, np.random.default_rng(0), recipe)
    shape = (_IMAGES, batch.facts.in_channels, batch.side, batch.side)
    assert tuple(images.shape) == shape, f"images are {tuple(images.shape)}, expected {shape}"
    assert images.dtype == torch.float32, f"images are {images.dtype}, expected float32"
    assert len(targets) == _IMAGES, f"{len(targets)} targets for {_IMAGES} images"
    again = task.batch(batch, np.random.default_rng(0), recipe)
    assert torch.equal(images, again[0]), "the same rng gave other images"
    assert torch.equal(targets, again[1]), "the same rng gave other targets"
    kept = torch.equal(batch.pixels, before[0]) and torch.equal(batch.targets, before[1])
    assert kept, "the dataset's own samples were changed"
    side = batch.side // 2
    small = Batch(batch.pixels, batch.targets, batch.facts, batch.mirror, side)
    halved = task.batch(small, np.random.default_rng(0), recipe)[0]
    assert tuple(halved.shape[-2:]) == (side, side), f"asked for {side} px, found {halved.shape}"


def _check_loss(task: Task, batch: Batch, answers: Tensor) -> None:
    recipe = pydantic.TypeAdapter(TrainConfig).validate_python({})
    _, targets = task.batch(batch, np.random.default_rng(0), recipe)
    answer = answers.clone().requires_grad_()
    loss = task.loss(answer, targets)
    assert loss.shape == (), f"the loss has shape {tuple(loss.shape)}, not a scalar's"
    assert bool(torch.isfinite(loss)), f"the loss is {loss.item()}"
    torch.autograd.backward(loss)
    moved = answer.grad is not None and bool(answer.grad.abs().sum() > 0)
    assert moved, "no gradient arrives at the answer"
    taught = task.taught(answers)
    own, other = task.loss(answers, taught), task.loss(-answers, taught)
    assert bool(own < other), "an answer is no nearer to what it teaches than its opposite"


def _check_weights(task: Task, batch: Batch, answers: Tensor) -> None:
    """Of a task that says it: weights of classes weigh the loss, and equal ones change nothing."""
    if not task.weighs_classes:
        return
    recipe = pydantic.TypeAdapter(TrainConfig).validate_python({})
    count = len(batch.facts.classes)

    def loss(weights: Tensor | None) -> float:
        weighed = replace(batch, weights=weights)
        return float(task.loss(answers, task.batch(weighed, np.random.default_rng(0), recipe)[1]))

    plain = loss(None)
    assert math.isclose(loss(torch.ones(count)), plain, rel_tol=1e-5), "weights of 1 change it"
    uneven = loss(torch.linspace(0.1, 1.9, count))
    assert not math.isclose(uneven, plain, rel_tol=1e-5), "it says that it weighs classes"


def _check_judge(task: Task, facts: ImageFacts, answers: Tensor, targets: Tensor) -> None:
    whole, parts = task.judge(facts), task.judge(facts)
    whole.add(answers, targets)
    for part in torch.arange(_IMAGES).tensor_split(3):
        parts.add(answers[part], targets[part])
    figures = dict(whole.figures())
    assert whole.count == _IMAGES, f"{_IMAGES} images were judged, the judge counts {whole.count}"
    expected = set(task.figures(facts))
    missing = {metric.name for metric in task.metrics} - expected
    assert not missing, f"task.figures lacks the metrics {sorted(missing)}"
    assert set(figures) == expected, f"figures are {sorted(figures)}, expected {sorted(expected)}"
    for metric in task.metrics:
        value, again = figures[metric.name], parts.figures()[metric.name]
        assert math.isfinite(value), f"{metric.name} is {value}"
        assert metric.unit != "share" or 0 <= value <= 1, f"{metric.name} is {value}, no share"
        assert math.isclose(value, again), f"{metric.name} depends on how images are batched"
    for name, entry in whole.classes().items():
        assert name in facts.classes, f"the judge tells of class {name!r}, which there is not"
        assert "count" in entry, f"class {name!r} has no count"
    _check_mistakes(task, facts, answers, targets)


def _check_mistakes(task: Task, facts: ImageFacts, answers: Tensor, targets: Tensor) -> None:
    judge = task.judge(facts)
    judge.add(answers, targets)
    counts: Counter[str] = Counter()
    for truth, answer, count in judge.confusions():
        assert {truth, answer} <= set(facts.classes), f"{truth!r} taken for {answer!r}: no classes"
        counts[truth] += count
    told = {name: entry["count"] for name, entry in judge.classes().items()}
    assert not counts or counts == told, f"confusions count {dict(counts)}, classes {told}"
    wrong = task.wrongness(answers, targets)
    assert tuple(wrong.shape) == (_IMAGES,), f"wrongness is {tuple(wrong.shape)}, one an image?"
    assert bool((wrong >= 0).all()), "wrongness is below 0, where nothing is right more than right"


def _check_distance(task: Task, answers: Tensor) -> None:
    other = _random(tuple(answers.shape), seed=1)
    assert task.distance(answers, answers) == 0, "an answer differs from itself"
    found, turned = task.distance(answers, other), task.distance(other, answers)
    assert 0 < found <= 1, f"the distance of two random answers is {found}, expected a share"
    assert found == turned, f"distance is {found} one way and {turned} the other"


def _check_networks(
    task: Task, space: SearchSpace, heads: list[Mapping[str, object]], facts: ImageFacts
) -> None:
    outputs = task.outputs(facts)
    assert type(outputs) in space.serves, f"{space.name} does not serve {type(outputs).__name__}"
    expected = answer_shape(outputs, facts)
    for seed, head in enumerate(heads):
        architecture = space.suggest(RandomTrial(seed))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            network = task.build(space, architecture, head, facts).eval()
            answer = network(torch.zeros(2, *facts.shape))
        shape = (2, *expected)
        assert tuple(answer.shape) == shape, f"{head} answers {tuple(answer.shape)}, not {shape}"


def answer_shape(outputs: Outputs, facts: ImageFacts) -> tuple[int, ...]:
    """The shape of the answer to one image."""
    if isinstance(outputs, Classes):
        return (outputs.count,)
    side = math.ceil(facts.image_size / outputs.stride)
    return (outputs.count, side, side)


def _random(shape: tuple[int, ...], *, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _batch(pixels: Tensor, targets: Tensor, facts: ImageFacts) -> Batch:
    return Batch(pixels, targets, facts, mirror=True, side=facts.image_size)
