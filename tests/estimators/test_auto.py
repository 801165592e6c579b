from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starts import begun_on_digits
from torch import nn

from orchestrator import Estimate, EstimationContext, Genotype
from orchestrator.errors import ConfigError, RunError, TrainingError
from orchestrator.estimators.auto import AutoEstimator
from orchestrator.estimators.networks import started_network
from orchestrator.estimators.probe import ProbeEstimator
from orchestrator.estimators.proxy import ProxyEstimator
from orchestrator.estimators.train import TrainEstimator
from orchestrator.plugins import installed
from orchestrator.testing.estimator import check_estimator

Rank = Callable[[float], float]


def size(network: nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


@pytest.fixture
def context(tmp_path: Path) -> EstimationContext:
    from dataclasses import replace

    made = begun_on_digits(tmp_path, "mobilenetv2")
    zen = installed().create("objective", "zen", {})
    return replace(made, objectives={"zen": zen})


class Calls:
    """Estimators that cost nothing: each figure is a function of a network's size."""

    def __init__(self, patch: pytest.MonkeyPatch, **ranks: Rank) -> None:
        self.made: list[str] = []
        self.patch = patch
        self.of("train", TrainEstimator, ranks.get("train", lambda s: s))
        self.of("probe", ProbeEstimator, ranks.get("probe", lambda s: s))
        score = ranks.get("proxy", lambda s: s)

        def scored(estimator: Any, network: Any, genotype: Any, context: Any) -> float:
            self.made.append("proxy")
            return score(size(network))

        patch.setattr(ProxyEstimator, "score", scored)

    def of(self, name: str, kind: Any, rank: Rank) -> None:
        def estimate(estimator: Any, network: Any, genotype: Any, context: Any) -> Estimate:
            self.made.append(name)
            if name == "train":
                sum(range(3_000_000))  # so that it is the dearest
                context.store.keep(network, genotype)
            return Estimate(network, (0.1, rank(size(network))))

        self.patch.setattr(kind, "estimate", estimate)


def chosen(context: EstimationContext) -> str:
    return str(json.loads((context.weights / "auto.json").read_text())["chosen"])


def test_it_fulfils_the_contract(context: EstimationContext) -> None:
    check_estimator(AutoEstimator(candidates=3), context)


def test_the_way_that_ranks_well_is_taken(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    Calls(monkeypatch, proxy=lambda s: -s)
    estimator = AutoEstimator()
    (told,) = estimator.prepare(context)
    assert chosen(context) == "probe"
    assert told.startswith("accuracy is estimated by probe: it ranks 6 trained candidates with")
    assert "tau 1.00 (proxy -1.00)" in told
    assert estimator.approximates(context) and not estimator.foretells(context)


def test_where_nothing_ranks_everything_is_trained(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    Calls(monkeypatch, proxy=lambda s: -s, probe=lambda s: -s)
    estimator = AutoEstimator()
    (told,) = estimator.prepare(context)
    assert chosen(context) == "train" and told.startswith("every candidate is trained")
    assert not estimator.approximates(context) and not estimator.foretells(context)


@pytest.mark.parametrize(("probe", "expected"), [(1, 5000), (-1, 200)])
def test_it_sees_as_many_images_as_the_way_that_was_taken(
    probe: int, expected: int, context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    Calls(monkeypatch, proxy=lambda s: -s, probe=lambda s: probe * s)
    estimator = AutoEstimator(images=200)
    estimator.prepare(context)
    assert estimator.sees(context) == expected
    assert estimator.most_images == 200  # which a forecast goes by


def test_a_proxy_that_is_taken_learns_from_what_was_trained(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch, probe=lambda s: -s)
    estimator = AutoEstimator()
    estimator.prepare(context)
    assert chosen(context) == "proxy" and estimator.foretells(context)
    trained = calls.made.count("train")
    genotype = tried(context)[2]
    found = estimator.estimate(started_network(genotype, context), genotype, context)
    assert found.predicted == pytest.approx(size(started_network(genotype, context)))
    assert calls.made.count("train") == trained == 6


def tried(context: EstimationContext) -> list[Genotype]:
    told = json.loads((context.weights / "auto.json").read_text())["tried"]
    return [Genotype.from_json(item["genotype"]) for item in told]


def test_candidates_are_distinct_and_spread_over_size(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    Calls(monkeypatch)
    AutoEstimator(candidates=5).prepare(context)
    sizes = [size(started_network(genotype, context)) for genotype in tried(context)]
    assert len({genotype.key for genotype in tried(context)}) == 5
    assert sizes == sorted(sizes) and sizes[-1] > 2 * sizes[0]


def test_candidates_are_parts_of_the_trained_network(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    Calls(monkeypatch)
    AutoEstimator().prepare(context)
    assert context.start is not None and context.start.answers is not None
    trained = context.start.answers["stem.activation"]
    stages = [stage for genotype in tried(context) for stage in genotype.architecture["stages"]]
    assert {stage["activation"] for stage in stages} == {trained}
    assert {stage["attention"] for stage in stages} == {"none"}


def test_what_was_trained_is_not_trained_again(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch, proxy=lambda s: -s, probe=lambda s: -s)
    estimator = AutoEstimator()
    estimator.prepare(context)
    genotype = tried(context)[0]
    found = estimator.estimate(started_network(genotype, context), genotype, context)
    assert calls.made.count("train") == 6 and len(found.curve) == 2
    assert estimator.initial_weights(genotype, context) is not None


def test_an_interrupted_trial_goes_on(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)

    def interrupted(size: float) -> float:
        if calls.made.count("train") == 3:
            raise KeyboardInterrupt
        return size

    calls.of("train", TrainEstimator, interrupted)
    with pytest.raises(KeyboardInterrupt):
        AutoEstimator().prepare(context)
    first = tried(context)
    calls.of("train", TrainEstimator, lambda s: s)
    told = AutoEstimator().prepare(context)
    assert tried(context) == first and calls.made.count("train") == 7
    assert AutoEstimator().prepare(context) == told and calls.made.count("train") == 7


def test_without_weights_there_is_no_probe(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    calls = Calls(monkeypatch)
    AutoEstimator().prepare(replace(context, start=None))
    assert "probe" not in calls.made and chosen(context) == "proxy"


def test_shared_weights_are_tried_where_they_are_asked_for(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.estimators.supernet import SupernetEstimator

    calls = Calls(monkeypatch, proxy=lambda s: -s, probe=lambda s: -s)
    calls.of("supernet", SupernetEstimator, lambda s: s)
    monkeypatch.setattr(SupernetEstimator, "prepare", lambda self, context: ["sound"])
    told = AutoEstimator(supernet=True).prepare(context)
    assert told[0] == "sound" and chosen(context) == "supernet"


def test_where_nothing_can_be_trained_there_is_no_search(
    context: EstimationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(size: float) -> float:
        raise TrainingError("the loss is not finite")

    Calls(monkeypatch, train=diverging)
    with pytest.raises(TrainingError, match="none of 6 candidates could be trained: the loss"):
        AutoEstimator().prepare(context)


def test_before_it_is_prepared_and_with_a_damaged_file_it_says_so(
    context: EstimationContext,
) -> None:
    with pytest.raises(RunError, match="no estimator was chosen yet"):
        AutoEstimator().approximates(context)
    (context.weights / "auto.json").write_text("{}")
    with pytest.raises(RunError, match="Delete it, then resume"):
        AutoEstimator().prepare(context)


@pytest.mark.parametrize("options", [{"candidates": 2}, {"least": 1.5}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        installed().create("estimator", "auto", options)
