"""The contract suite of compressors: call `check_compressor` in a plugin's own tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from orchestrator.contracts import (
    Artifact,
    ArtifactCompressor,
    CompressionContext,
    Compressor,
    Loss,
    NetworkCompressor,
    TrainingCompressor,
)
from orchestrator.training.epochs import watching
from orchestrator.trials import FixedTrial, RandomTrial

__all__ = ["check_compressor"]

_DRAWS = 32


def check_compressor(
    compressor: Compressor,
    context: CompressionContext,
    *,
    build: Callable[[], nn.Module],
    artifact: Artifact | None = None,
) -> None:
    """Raise AssertionError with a sentence if `compressor` breaks its contract.

    `build` makes the same network with new random weights at each call, from images like
    `context.calibration` to (B, classes). An ArtifactCompressor also needs `artifact`, compiled
    by `context.device`, of a network whose predictions are not a coin's toss. Every
    choice that 32 random draws give is tried.
    """
    for choices in _draws(compressor):
        if isinstance(compressor, NetworkCompressor):
            _check_network(compressor, choices, context, build)
        elif isinstance(compressor, ArtifactCompressor):
            assert artifact is not None, "an ArtifactCompressor is checked on an artifact"
            _check_artifact(compressor, choices, context, artifact)
        elif isinstance(compressor, TrainingCompressor):
            _check_loss(compressor, choices, context, build())
        else:
            raise AssertionError(f"{type(compressor).__name__} is of none of the three kinds")


def _draws(compressor: Compressor) -> list[Mapping[str, Any]]:
    """The distinct choices that are not "not at all", after checking `suggest`."""
    seen: dict[str, Mapping[str, Any]] = {}
    for seed in range(_DRAWS):
        trial = RandomTrial(seed)
        choices = compressor.suggest(trial)
        again = compressor.suggest(FixedTrial(trial.choices))
        assert choices == again, f"equal answers gave {choices} and {again}"
        text = json.dumps(choices, sort_keys=True)
        assert json.loads(text) == dict(choices), f"{choices} does not survive JSON"
        for name in trial.choices:
            expected = f"{compressor.name}."
            assert name.startswith(expected), f"{name!r} does not begin with {expected!r}"
        seen[text] = choices
    assert {} in seen.values(), 'no draw gave {}, which is how "not at all" is said'
    active = [choices for choices in seen.values() if choices]
    assert active, "every draw gave {}: the compressor never does anything"
    return active


def _check_network(
    compressor: NetworkCompressor,
    choices: Mapping[str, Any],
    context: CompressionContext,
    build: Callable[[], nn.Module],
) -> None:
    retrained: list[float] = []

    def retrain(
        network: nn.Module, share: float, *, loss: Loss | None = None, steps: int | None = None
    ) -> None:
        retrained.append(share)
        if loss is not None:
            _check_takes(loss, network, context)

    original = build()
    before = sum(parameter.numel() for parameter in original.parameters())
    looked_at = replace(context, preview=True, retrain=None, judge=None, teacher=None)
    preview = compressor.compress(original, choices, looked_at)
    full = replace(
        context,
        preview=False,
        retrain=retrain,
        judge=context.judge or (lambda _: 0.5),
        report={},
    )
    trained = compressor.compress(build(), choices, full)
    shapes, expected = _shapes(trained), _shapes(preview)
    after, least = (sum(p.numel() for p in n.parameters()) for n in (trained, preview))
    if compressor.foreseen:
        assert shapes == expected, f"{choices}: a preview's shapes depend on the weights"
    else:
        assert after >= least, f"{choices}: {after} parameters, less than the preview's {least}"
        assert after <= before, f"{choices}: {before} parameters became {after}"
    if "shapes" in compressor.changes:
        fewer = after < before or not compressor.foreseen
        assert fewer, f"{choices}: {before} parameters became {after}"
    else:
        same = _shapes(trained) == _shapes(build())
        assert same, f"{choices}: shapes differ, which `changes` does not say"
    assert all(share >= 0 for share in retrained), f"retrained for {retrained} of the epochs"
    logits = trained.eval()(torch.from_numpy(context.calibration[:2]))
    assert bool(torch.isfinite(logits).all()), f"{choices}: the logits are not finite"
    for name in full.report:
        prefix = f"{compressor.name}."
        assert name.startswith(prefix), f"{name!r} in the report does not begin with {prefix!r}"


def _check_takes(loss: Loss, network: nn.Module, context: CompressionContext) -> None:
    """A loss that a network is trained further with must be one of that network's answers."""
    images = torch.from_numpy(context.calibration[:2])
    answer = network.eval()(images)
    found = loss(images, answer, answer.detach().softmax(1))
    assert found.shape == (), f"the loss to train on with has shape {tuple(found.shape)}"
    assert bool(torch.isfinite(found)), f"the loss to train on with is {found.item()}"


def _check_artifact(
    compressor: ArtifactCompressor,
    choices: Mapping[str, Any],
    context: CompressionContext,
    artifact: Artifact,
) -> None:
    full = replace(
        context,
        preview=False,
        retrain=context.retrain or (lambda *_, **__: None),
        judge=context.judge or (lambda _: 0.5),
    )
    result = compressor.transform(artifact, choices, full)
    assert result.path != artifact.path, "the original file was replaced"
    assert result.path.parent == artifact.path.parent, "the new file is not beside the original"
    sizes = artifact.size_bytes, result.size_bytes
    assert sizes[1] < sizes[0], f"{choices}: {sizes[0]} bytes became {sizes[1]}"
    predict = context.device.predict
    expected = predict(artifact, context.calibration).argmax(1)
    found = predict(result, context.calibration).argmax(1)
    agreement = float(np.mean(expected == found))
    assert agreement >= 0.9, f"{choices}: only {agreement:.0%} of the predictions stayed"


def _check_loss(
    compressor: TrainingCompressor,
    choices: Mapping[str, Any],
    context: CompressionContext,
    student: nn.Module,
) -> None:
    images = torch.from_numpy(context.calibration[:8])
    own = compressor.loss(choices, context)
    halved = replace(context, loss=lambda *batch: context.loss(*batch) / 2)
    lower = compressor.loss(choices, halved)
    with watching(student, own), watching(student, lower):
        logits = student(images)  # (B, classes)
        targets = torch.full_like(logits, 1 / logits.shape[1]).detach()
        loss, other = own(images, logits, targets), lower(images, logits, targets)
    assert other <= loss, f"{choices}: the loss before counts the wrong way round"
    assert loss.shape == (), f"{choices}: the loss has shape {tuple(loss.shape)}, not a scalar's"
    assert bool(torch.isfinite(loss)), f"{choices}: the loss is {loss.item()}"
    torch.autograd.backward(loss)
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert any(bool(g.abs().sum() > 0) for g in gradients), f"{choices}: no gradient arrives"


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
