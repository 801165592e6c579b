from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import footings
import numpy as np
import pydantic
import pytest
import torch
from networks import fresh
from torch import nn

from orchestrator import (
    ArraySamples,
    Dataset,
    Estimate,
    EstimationContext,
    Genotype,
    ImageFacts,
    Outputs,
    SearchSpace,
)
from orchestrator.config import TrainConfig
from orchestrator.contracts import Split
from orchestrator.errors import ConfigError, RunError, TrainingError
from orchestrator.estimators.monotone import MonotoneCurve
from orchestrator.estimators.proxy import ProxyEstimator
from orchestrator.estimators.train import TrainEstimator
from orchestrator.plugins import installed
from orchestrator.testing.estimator import check_estimator

PROXIES = ["macs", "naswot", "params", "synflow", "zen", "zico"]


class Striped(Dataset):
    name = "striped"
    classes = ("flat", "steep")
    image_size = 8
    in_channels = 1
    mean = (0.5,)
    deviation = (0.5,)

    def split(self, name: Split) -> ArraySamples:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 100, (64, 1, 8, 8)).astype(np.uint8)
        pixels[::2, :, ::2] += 150
        pixels[1::2, :, :, ::2] += 150
        return ArraySamples(pixels, np.arange(64) % 2)


class Widths(SearchSpace):
    name: ClassVar[str] = "widths"

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {"width": trial.suggest_int("width", 1, 40)}

    def build(self, architecture: Any, facts: ImageFacts, outputs: Outputs) -> nn.Module:
        width = architecture["width"]
        return nn.Sequential(
            nn.Conv2d(facts.in_channels, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs.count),
        )  # fmt: skip


@pytest.fixture
def context(tmp_path: Path) -> EstimationContext:
    train = pydantic.TypeAdapter(TrainConfig).validate_python(
        {"epochs": 2, "batch_size": 16, "learning_rate": 0.02}
    )
    return footings.context(Widths(), Striped(), train, tmp_path / "weights", asks=PROXIES)


def genotype(width: int) -> Genotype:
    return Genotype("widths", "small", {"width": width})


def predicted(estimator: ProxyEstimator, context: EstimationContext, width: int) -> float:
    network = fresh(context.space, {"width": width}, classes=2, in_channels=1, image_size=8)
    estimate = estimator.estimate(network, genotype(width), context)
    assert estimate.predicted is not None and estimate.curve == (estimate.predicted,)
    return estimate.predicted


def pretend(monkeypatch: pytest.MonkeyPatch, accuracy_of: Callable[[int], float]) -> list[Genotype]:
    """Trainings cost nothing; returns which architectures were trained."""
    trained: list[Genotype] = []

    def estimate(self: Any, network: Any, genotype: Any, context: Any) -> Estimate:
        accuracy = accuracy_of(genotype.architecture["width"])
        trained.append(genotype)
        for epoch in range(1, context.train.epochs + 1):
            context.on_epoch(epoch, accuracy)
        return Estimate(network, (accuracy,))

    monkeypatch.setattr(TrainEstimator, "estimate", estimate)
    return trained


@pytest.mark.parametrize("proxy", PROXIES)
def test_it_fulfils_the_contract(proxy: str, context: EstimationContext) -> None:
    check_estimator(
        installed().create("estimator", "proxy", {"proxy": proxy, "anchors": 3}), context
    )


def test_anchors_are_spread_over_the_scores(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = pretend(monkeypatch, lambda width: width / 50)
    progress: list[tuple[int, int]] = []
    told = ProxyEstimator(proxy="params", anchors=5).prepare(
        replace(context, on_progress=lambda done, total: progress.append((done, total)))
    )
    widths = [anchor.architecture["width"] for anchor in trained]
    assert widths == sorted(widths) and widths[0] <= 5 and widths[-1] >= 36
    assert progress == [(done, 10) for done in range(1, 11)]
    assert told[0].startswith("params ranks 5 trained architectures") and "tau 1.00" in told[0]


def test_an_interrupted_preparation_goes_on(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(width: int) -> float:
        if len(trained) == 2:
            raise KeyboardInterrupt
        return width / 50

    estimator = ProxyEstimator(proxy="params", anchors=4)
    trained = pretend(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.prepare(context)
    rest = pretend(monkeypatch, lambda width: width / 50)
    first = estimator.prepare(context)
    assert (len(trained), len(rest)) == (2, 2)
    assert not {g.key for g in trained} & {g.key for g in rest}
    assert estimator.prepare(context) == first and len(rest) == 2
    assert [path.name for path in context.weights.iterdir()] == ["proxy.json"]


def test_an_anchor_that_diverges_is_left_out(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(width: int) -> float:
        if width > 30:
            raise TrainingError("the loss is not finite")
        return width / 50

    pretend(monkeypatch, diverging)
    estimator = ProxyEstimator(proxy="params", anchors=4)
    (told,) = estimator.prepare(context)
    assert "ranks 3 trained architectures" in told or "ranks 2 trained architectures" in told
    assert predicted(estimator, context, 20) < predicted(estimator, context, 40)


def test_without_a_single_anchor_there_is_no_search(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(width: int) -> float:
        raise TrainingError("the loss is not finite")

    pretend(monkeypatch, diverging)
    with pytest.raises(TrainingError, match="none of 3 anchors could be trained"):
        ProxyEstimator(proxy="params", anchors=3).prepare(context)


@pytest.mark.parametrize("sign", [1, -1])
def test_accuracy_may_rise_or_fall_with_what_is_minimised(
    sign: int, context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda width: 0.5 + sign * width / 100)
    estimator = ProxyEstimator(proxy="params", anchors=4)
    (told,) = estimator.prepare(context)
    accuracies = [predicted(estimator, context, width) for width in range(1, 41)]
    assert all(sign * (after - before) > 0 for before, after in pairwise(accuracies))
    assert predicted(estimator, context, 20) == pytest.approx(0.5 + sign * 0.2, abs=0.02)
    assert ("fall" in told) == (sign < 0)


def test_a_proxy_that_ranks_badly_says_so(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda width: 1 - width / 50)
    (told,) = ProxyEstimator(proxy="synflow", anchors=4).prepare(context)
    assert "hardly ranks this space" in told


def test_anchors_alone_have_weights(context: EstimationContext) -> None:
    estimator = ProxyEstimator(proxy="params", anchors=3)
    estimator.prepare(context)
    data = json.loads((context.weights / "proxy.json").read_text())
    anchors = [Genotype.from_json(item["genotype"]) for item in data["anchors"]]
    assert all(estimator.initial_weights(anchor, context) for anchor in anchors)
    others = {1, 20, 40} - {anchor.architecture["width"] for anchor in anchors}
    assert all(estimator.initial_weights(genotype(width), context) is None for width in others)


def test_a_missing_a_damaged_and_another_proxys_file_are_named(context: EstimationContext) -> None:
    estimator, file = ProxyEstimator(proxy="params"), context.weights / "proxy.json"
    with pytest.raises(RunError, match=r"proxy\.json is missing"):
        predicted(estimator, context, 3)
    context.weights.mkdir()
    file.write_text("{")
    with pytest.raises(RunError, match="Delete it"):
        estimator.prepare(context)
    file.write_text('{"proxy": "zen", "anchors": []}')
    with pytest.raises(RunError, match=r"estimator\.proxy=zen"):
        estimator.prepare(context)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anchors": 2}, "expected at least 3"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        installed().create("estimator", "proxy", options)


def test_architectures_that_are_trained_start_from_the_search_s_weights(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[nn.Module] = []

    class Start:
        answers = None

        def give(self, network: nn.Module) -> list[str]:
            given.append(network)
            return []

    trained: list[nn.Module] = []

    def estimate(self: Any, network: nn.Module, genotype: Any, context: Any) -> Estimate:
        assert network in given
        trained.append(network)
        return Estimate(network, (0.5,))

    monkeypatch.setattr(TrainEstimator, "estimate", estimate)
    begun = replace(context, start=Start())  # type: ignore[arg-type]
    ProxyEstimator(proxy="params", anchors=3).prepare(begun)
    assert len(trained) == 3 and len(given) > 3  # those that were only scored too


def test_the_network_is_not_trained(context: EstimationContext) -> None:
    estimator = ProxyEstimator(proxy="zico", anchors=3)
    estimator.prepare(context)
    network = fresh(context.space, {"width": 7}, classes=2, in_channels=1, image_size=8)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    estimator.estimate(network, genotype(7), context)
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_a_curve_goes_through_what_is_monotone_and_beyond() -> None:
    curve = MonotoneCurve([1, 2, 4], [0.5, 0.7, 0.9])
    assert [curve(x) for x in (1, 2, 3, 4)] == pytest.approx([0.5, 0.7, 0.8, 0.9])
    assert 0.9 < curve(5) < curve(50) < curve(5e6) < 1.0
    assert 0.5 > curve(0) > curve(-50) > curve(-5e6) > 0.39


def test_violators_are_pooled_and_nothing_ties() -> None:
    curve = MonotoneCurve([1, 2, 3, 4], [0.5, 0.8, 0.6, 0.9])
    assert curve(2.5) == pytest.approx(0.7)
    values = [curve(x) for x in np.linspace(-3, 8, 200)]
    assert all(before < after for before, after in pairwise(values))


@pytest.mark.parametrize("accuracies", [[0.9, 0.8, 0.7], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_scores_are_ranked_even_if_accuracies_do_not_rise(accuracies: list[float]) -> None:
    values = [MonotoneCurve([1, 2, 3], accuracies)(x) for x in np.linspace(-9, 9, 50)]
    assert all(before < after for before, after in pairwise(values))
    assert all(0 < value < 1 for value in values)


def test_equal_scores_become_one_point() -> None:
    assert MonotoneCurve([1, 1, 2], [0.4, 0.6, 0.9])(1) == pytest.approx(0.5)
