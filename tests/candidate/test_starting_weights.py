"""Where the trained weights that a search starts from reach its networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from starts import CREDIT
from torch import Tensor
from toy_factory import factory, genotype
from toys import ToyData, ToyEstimator, toy_latencies

from orchestrator.bundle import read_facts
from orchestrator.candidate import finalists, taught
from orchestrator.candidate.evaluation import evaluate
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.finalists import Elected, finish, make_teacher
from orchestrator.contracts import Axis, Training
from orchestrator.errors import ConfigError, RunError
from orchestrator.pretrained.loading import Loaded
from orchestrator.pretrained.starting import prepare_start, start_file
from orchestrator.records import Record

pytestmark = pytest.mark.usefixtures("toys")

AXES = [Axis("accuracy", "share", "maximize", reference=0.0, leads=True)]
WEIGHTS = torch.arange(4.0 * 64).view(4, 64).flip(0) / 100


def begun(folder: Path, **groups: Any) -> Factory:
    """A search whose weights lie in its folder; the file they came from is gone."""
    made = factory(folder, weights=str(folder / "gone.safetensors"), **groups)
    facts = ToyData().facts
    tensors = dict(made.build(genotype()).state_dict()) | {"1.weight": WEIGHTS}
    found = Loaded(CREDIT, genotype(), facts, tensors)
    prepare_start(start_file(folder), made.assembly.space, facts.shape, lambda: found)
    return made


def first_layer(made: Factory) -> Tensor:
    assert made.start is not None
    return made.start.tensors["1.weight"]


def test_the_answers_of_their_network_are_known(tmp_path: Path) -> None:
    assert begun(tmp_path).start_answers == {"kind": "plain", "width": 4}  # "wide" by name
    assert factory(tmp_path).start_answers is None


def test_a_candidate_starts_there_and_its_preview_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Tensor] = []
    estimate = ToyEstimator.estimate

    def watched(self: Any, network: Any, *rest: Any) -> Any:
        given.append(network[1].weight.clone())
        return estimate(self, network, *rest)

    monkeypatch.setattr(ToyEstimator, "estimate", watched)
    made = begun(tmp_path)
    record = evaluate((0, genotype(width=2)), (), made, toy_latencies)
    assert record.outcome == "feasible"
    assert torch.equal(given[0], first_layer(made)[:2])
    assert not torch.equal(made.preview(genotype())[1].weight, first_layer(made))


def test_finalists_and_the_teacher_start_there_at_the_full_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def train(network: Any, footing: Any, config: Any, run: Any) -> Training:
        given.append((network[1].weight.clone(), run.warm))
        return Training((0.5,))

    monkeypatch.setattr(finalists, "train", train)
    monkeypatch.setattr(finalists, "_verified", lambda *told: True)
    made = begun(tmp_path)
    values = {"accuracy": 0.5, "params": 1.0, "latency_ms": 1.0}
    finish(Elected(Record(0, genotype(width=3), "feasible", values), AXES), made, toy_latencies)
    make_teacher(genotype(), made)
    (finalist, warm), (teacher, _) = given
    assert torch.equal(finalist, first_layer(made)[:3]) and not warm
    assert torch.equal(teacher, first_layer(made))


@pytest.mark.parametrize(("width", "known"), [(4, {"kind": "plain", "width": 4}), (3, None)])
def test_the_teacher_tells_its_answers_where_it_is_the_weights_own_network(
    width: int, known: Any, tmp_path: Path
) -> None:
    make_teacher(genotype(width=width), begun(tmp_path))
    assert read_facts(tmp_path / "teacher").get("choices") == known


def test_a_finalist_tells_what_it_was_drawn_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finalists, "_verified", lambda *told: True)
    drawn = {"kind": "plain", "width": 3, "pruning.ratio": 0.5}
    values = {"accuracy": 0.5, "params": 1.0, "latency_ms": 1.0}
    record = Record(0, genotype(width=3), "feasible", values, drawn)
    finish(Elected(record, AXES), begun(tmp_path), toy_latencies)
    assert read_facts(tmp_path / "models" / record.id)["choices"] == drawn


def test_a_teacher_may_learn_longer_than_finalists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []

    def train(network: Any, footing: Any, config: Any, run: Any) -> Training:
        epochs.append(run.epochs)
        return Training((0.5,))

    monkeypatch.setattr(finalists, "train", train)
    for told in ({"final_epochs": 2}, {"final_epochs": 2, "teacher_epochs": 7}):
        make_teacher(genotype(), begun(tmp_path, train=told))
    assert epochs == [2, 7]


def test_what_the_search_trained_comes_before_it(tmp_path: Path) -> None:
    made = begun(tmp_path, estimator={"name": "train"})
    evaluate((0, genotype()), (), made, toy_latencies)
    kept = made.estimation().store.load(genotype())
    network = made.started(genotype())
    assert kept is not None and taught.inherit(network, genotype(), made)
    assert torch.equal(network.state_dict()["1.weight"], kept["1.weight"])
    assert not torch.equal(kept["1.weight"], first_layer(made))


def test_estimators_are_told_and_without_weights_there_is_none(tmp_path: Path) -> None:
    started, noise = tmp_path / "started", tmp_path / "noise"
    for folder in (started, noise):
        folder.mkdir()
    assert begun(started).estimation().start is not None
    assert factory(noise).estimation().start is None


def test_a_run_that_has_not_begun_says_so(tmp_path: Path) -> None:
    made = factory(tmp_path, weights=str(tmp_path / "gone.safetensors"))
    with pytest.raises(RunError, match="Resume the search"):
        made.started(genotype())


def test_a_probe_without_trained_weights_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"estimator=probe .*found weights=null"):
        factory(tmp_path, estimator={"name": "probe"})


def test_a_probe_of_maps_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator import Maps
    from orchestrator.candidate import assembly
    from orchestrator.testing.toys import ToySpace

    made = begun(tmp_path, estimator={"name": "probe"}).assembly
    monkeypatch.setattr(ToySpace, "serves", frozenset({Maps}))
    monkeypatch.setattr(type(made.task), "outputs", lambda self, facts: Maps(2))
    with pytest.raises(ConfigError, match=r"answer Classes, found task .* asking for Maps"):
        assembly._check_estimator(made, started=True)
