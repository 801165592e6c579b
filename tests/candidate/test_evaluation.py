from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory, genotype
from toys import ToyDevice, toy_latencies

from orchestrator.candidate.evaluation import Rival, evaluate, foresee
from orchestrator.errors import CompileError, DeviceError, RunError
from orchestrator.records import Genotype, Record, Step

pytestmark = pytest.mark.usefixtures("toys")


def evaluated(folder: Path, *, rivals: Any = (), wanted: Any = None, **groups: Any) -> Record:
    proposal = (7, wanted or genotype())
    return evaluate(proposal, rivals, factory(folder, **groups), toy_latencies)


def test_a_candidate_that_keeps_its_budgets_is_feasible(tmp_path: Path) -> None:
    record = evaluated(tmp_path, objective={"params": {"name": "params", "max": 270}})
    assert record.outcome == "feasible"
    assert record.values["params"] == 64 * 4 + 4 + 4 * 2 + 2
    assert record.values["latency_ms"] == record.values["params"] / 100
    assert 0 <= record.values["accuracy"] <= 1
    assert record.curve == pytest.approx((0.1, 0.2))
    assert record.number == 7 and record.seconds > 0 and record.finished_at > 0


def test_what_is_cheap_comes_first(tmp_path: Path) -> None:
    evaluated(tmp_path, objective={"odd": {"name": "odd", "value": 1.0}})
    assert ToyDevice.calls == ["odd", "compile preview", "measure", "train", "compile model", "odd"]


def test_a_static_budget_is_broken_before_anything_is_exported(tmp_path: Path) -> None:
    record = evaluated(tmp_path, objective={"odd": {"name": "odd", "value": 5.0, "max": 3}})
    assert record.outcome == "rejected"
    assert record.violations == {"odd": 2.0}
    assert record.reason == "odd 5 points is over the budget of 3 points"
    assert ToyDevice.calls == ["odd"]
    assert "trained" not in record.extra


def test_a_deployed_budget_is_broken_before_training(tmp_path: Path) -> None:
    budget = {"latency_ms": {"name": "latency_ms", "max": 2.0}}
    record = evaluated(tmp_path, objective=budget)
    assert record.violations == {"latency_ms": pytest.approx(0.7)}
    assert ToyDevice.calls == ["compile preview", "measure"]


@pytest.mark.parametrize(("most", "outcome"), [(2.0, "rejected"), (9.0, "stopped")])
def test_a_network_of_a_shortlist_is_measured_and_not_trained(
    tmp_path: Path, most: float, outcome: str
) -> None:
    budget = {"latency_ms": {"name": "latency_ms", "max": most}}
    record = foresee(genotype(), factory(tmp_path, objective=budget), toy_latencies)
    assert (record.outcome, record.paid) == (outcome, False)
    assert record.values["latency_ms"] == record.values["params"] / 100 == 2.7
    assert ToyDevice.calls == ["compile preview", "measure"]


def test_a_budget_broken_after_training_keeps_every_value(tmp_path: Path) -> None:
    record = evaluated(tmp_path, objective={"accuracy": {"name": "accuracy", "min": 1.0}})
    assert record.outcome == "rejected"
    assert set(record.values) == {"accuracy", "params", "latency_ms"}
    assert record.violations == {"accuracy": 1 - record.values["accuracy"]}
    assert record.extra["trained"] and record.curve


def test_an_objective_that_raises_fails_the_candidate_and_is_named(tmp_path: Path) -> None:
    record = evaluated(tmp_path, objective={"odd": {"name": "odd"}})
    assert (record.outcome, record.step) == ("failed", "objective odd")
    assert record.reason == "RuntimeError: no such thing"
    assert "Traceback" in record.error and "no such thing" in record.error
    assert record.values["params"] > 0


def test_an_objective_that_is_not_a_number_fails_the_candidate(tmp_path: Path) -> None:
    record = evaluated(tmp_path, objective={"odd": {"name": "odd", "value": float("nan")}})
    assert (record.outcome, record.step) == ("failed", "objective odd")
    assert record.reason == "objective odd is nan, expected a finite one."
    assert "odd" not in record.values


def test_training_that_breaks_is_named_with_what_was_known(tmp_path: Path) -> None:
    record = evaluated(tmp_path, estimator={"name": "toy_train", "fails": True})
    assert (record.outcome, record.step) == ("failed", "training")
    assert record.reason == "the loss is nan"
    assert set(record.values) == {"params", "latency_ms"}


def test_a_network_that_cannot_be_built_is_a_failed_candidate(tmp_path: Path) -> None:
    record = evaluated(tmp_path, wanted=Genotype("toy", "small", {"nonsense": 1}))
    assert (record.outcome, record.step) == ("failed", "build")
    assert "toy cannot build" in record.reason


def test_a_lost_device_is_not_the_candidates_fault(tmp_path: Path) -> None:
    def gone(artifacts: Any, device: str) -> Any:
        raise DeviceError("no answer")

    with pytest.raises(DeviceError):
        evaluate((0, genotype()), [], factory(tmp_path), gone)


def test_a_hopeless_candidate_is_stopped(tmp_path: Path) -> None:
    better = Rival({"params": 1.0, "latency_ms": 0.1, "accuracy": 1.0}, (0.9, 0.95))
    record = evaluated(tmp_path, rivals=[better, better])
    assert record.outcome == "stopped"
    assert record.curve == pytest.approx((0.1,))
    assert "clearly behind" in record.reason


def test_rivals_that_cost_more_stop_nobody(tmp_path: Path) -> None:
    dearer = Rival({"params": 1e9, "latency_ms": 0.1, "accuracy": 1.0}, (0.9, 0.95))
    assert evaluated(tmp_path, rivals=[dearer, dearer]).outcome == "feasible"


def test_a_compressed_candidate_is_judged_in_its_final_shape_before_training(
    tmp_path: Path,
) -> None:
    halved = genotype(4, (Step("halving", {"halve": True}),))
    budget = {"params": {"name": "params", "max": 64 * 2 + 2 + 2 * 2 + 2}}
    compressor = {"halving": {"name": "halving"}}
    record = evaluated(tmp_path, wanted=halved, objective=budget, compressor=compressor)
    assert record.outcome == "feasible"
    assert record.values["params"] == budget["params"]["max"]
    assert ToyDevice.calls.index("compress") < ToyDevice.calls.index("train")


def test_static_values_are_known_before_anything_is_paid(tmp_path: Path) -> None:
    made = factory(tmp_path, compressor={"halving": {"name": "halving"}})
    halved = genotype(4, (Step("halving", {"halve": True}),))
    for wanted in (genotype(4), halved):
        record = evaluate((0, wanted), [], made, toy_latencies)
        known = made.static(wanted)
        assert known == {name: record.values[name] for name in known}
        assert list(known) == ["params"]
    assert made.static(halved)["params"] < made.static(genotype(4))["params"]


def test_a_full_disk_behind_an_export_is_not_the_candidates_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile(*given: Any, **more: Any) -> Any:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise CompileError("the exporter does not take it") from error

    monkeypatch.setattr(ToyDevice, "compile", compile)
    with pytest.raises(RunError, match=r"No space left on device.*free some disk space"):
        evaluated(tmp_path)
