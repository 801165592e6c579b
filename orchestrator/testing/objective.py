"""The contract suite of objectives: call `check_objective` in a plugin's own tests."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import nn

from orchestrator.contracts import Artifact, Direction, Latency, Objective, Subject, Tier
from orchestrator.errors import CandidateError
from orchestrator.records import Genotype

__all__ = ["check_objective"]


def check_objective(objective: Objective, subject: Subject | None = None) -> None:
    """Raise AssertionError with a sentence if `objective` breaks its contract.

    `subject` needs what the objective's tier sees; by default a small convolutional network for
    8×8 images with made-up accuracy, answers, latency and gauges, and this file's size as the
    artifact's.
    """
    _check_description(objective)
    subject = subject or _small_subject()
    modes = [module.training for module in subject.network.modules()]
    value = objective.measure(subject)
    assert isinstance(value, float) and math.isfinite(value), f"measure gave {value!r}"
    assert objective.measure(subject) == value, "a second measurement of the same differs"
    assert modes == [module.training for module in subject.network.modules()], (
        "measuring changed the network's training modes"
    )
    _check_explanation(objective.explain(subject))
    _check_tier(objective, subject, value)
    copy = pickle.loads(pickle.dumps(objective))
    assert copy.measure(subject) == value, "a pickled objective measures something else"


def _check_description(objective: Objective) -> None:
    assert objective.name.isidentifier(), f"{objective.name!r} is no configuration key"
    assert objective.unit, f"{objective.name} has no unit"
    assert objective.direction in get_args(Direction), f"direction is {objective.direction!r}"
    assert objective.tier in get_args(Tier), f"tier is {objective.tier!r}"


def _check_explanation(explanation: Mapping[str, float | str]) -> None:
    for key, value in explanation.items():
        assert isinstance(key, str), f"explain has the key {key!r}"
        assert isinstance(value, str | int | float), f"explain[{key!r}] is {value!r}"


def _check_tier(objective: Objective, subject: Subject, value: float) -> None:
    """With less than its tier promises an objective says so; with exactly that it is content."""
    static = replace(subject, metrics={}, artifact=None, latency=None, gauge=None, judge=None)
    estimated = replace(static, metrics=subject.metrics, judge=subject.judge)
    enough = {"static": static, "estimated": estimated, "deployed": subject}[objective.tier]
    assert objective.measure(enough) == value, f"it needs more than tier {objective.tier!r} gives"
    if objective.tier == "static":
        return
    try:
        objective.measure(static)
    except CandidateError:
        return
    raise AssertionError(
        f"it gave a number without what tier {objective.tier!r} waits for; declare tier "
        '"static", or raise CandidateError'
    )


def _small_subject() -> Subject:
    with torch.random.fork_rng():
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
            nn.Linear(512, 10),
        )  # fmt: skip
    return Subject(
        genotype=Genotype("check", "small", {}),
        network=network,
        input_shape=(3, 8, 8),
        metrics={"accuracy": 0.75},
        artifact=Artifact(Path(__file__), "text"),
        latency=lambda: Latency(1.5, 0.5, 1.4, 1.6, 2.0, 60),
        batch=_batch,
        gauge=lambda asked: {"value": 100.0 * asked.batch},
        judge=lambda changes, images: [0.7 for _ in changes],
    )


def _batch() -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(0).standard_normal((64, 3, 8, 8), dtype=np.float32)
    return images, np.arange(64) % 10
