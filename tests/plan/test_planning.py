from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory
from toys import SMALLEST_PARAMS, SPACE_SIZE, ToyDevice

from orchestrator import Artifact, Gauge
from orchestrator.candidate.factory import Factory
from orchestrator.errors import BudgetError, ConfigError, DeviceError, PluginError, RunError
from orchestrator.plan.planning import Plan, make_plan

pytestmark = pytest.mark.usefixtures("toys")

HALVING = {"halving": {"name": "halving"}}


def plan(folder: Path, **groups: Any) -> Plan:
    return make_plan(factory(folder, **groups), 1)


def params(**limits: float) -> dict[str, Any]:
    return {"params": {"name": "params", **limits}}


def test_the_size_of_the_space_is_estimated(tmp_path: Path) -> None:
    assert plan(tmp_path).space_size == pytest.approx(SPACE_SIZE, rel=0.3)
    assert plan(tmp_path, compressor=HALVING).space_size == pytest.approx(2 * SPACE_SIZE, rel=0.3)


def test_the_same_seed_gives_the_same_plan(tmp_path: Path) -> None:
    first, again = (plan(tmp_path, run={"seed": 3}).to_json() for _ in range(2))
    clocked = {"seconds": 0, "forecast": None, "disk_bytes": 0, "measuring": None}
    assert {**first, **clocked} == {**again, **clocked}


def test_what_an_estimator_is_paid_once_is_forecast(tmp_path: Path) -> None:
    seconds = [
        plan(tmp_path, estimator={"name": "supernet", "epochs": epochs}).seconds
        for epochs in (1, 1_000_000)
    ]
    assert seconds[1] > 10 * seconds[0]


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert Plan.from_json(made.to_json()) == made


def test_named_points_come_without_compression(tmp_path: Path) -> None:
    seeds = plan(tmp_path, compressor=HALVING).seeds
    assert [seed.name for seed in seeds] == ["wide", "tall"]
    assert all(seed.choices["halving.halve"] is False for seed in seeds)


def test_compression_that_cannot_be_left_out_is_left_open(tmp_path: Path) -> None:
    always = {"halving": {"name": "halving", "always": True}}
    seeds = plan(tmp_path, compressor=always).seeds
    assert all("halving.halve" not in seed.choices for seed in seeds)


def test_axes_and_ranges_tell_what_was_seen(tmp_path: Path) -> None:
    made = plan(tmp_path, objective=params(max=1e6))
    axes = {axis.name: axis for axis in made.axes}
    assert list(axes) == ["accuracy", "params", "latency_ms"]
    assert axes["accuracy"].reference == 0.5  # guessing, of two classes
    assert axes["params"].max == 1e6
    low, high = made.ranges["params"]
    assert SMALLEST_PARAMS <= low < high == axes["params"].reference


def test_what_breaks_a_budget_counts_for_nothing(tmp_path: Path) -> None:
    limits = {"accuracy": {"name": "accuracy", "min": 0.7}, **params(max=SMALLEST_PARAMS + 1)}
    axes = {axis.name: axis for axis in plan(tmp_path, objective=limits).axes}
    assert axes["accuracy"].reference == 0.7 and axes["accuracy"].leads
    assert axes["params"].reference == SMALLEST_PARAMS + 1


def test_a_budget_beyond_the_ideal_is_no_reference(tmp_path: Path) -> None:
    made = plan(tmp_path, objective={"accuracy": {"name": "accuracy", "min": 1.0}})
    assert made.axes[0].reference == 0.5


def test_a_reference_that_is_given_is_taken(tmp_path: Path) -> None:
    told = {"name": "accuracy", "reference": 0.2, "min": 0.6}
    made = plan(tmp_path, objective={"accuracy": told})
    assert made.axes[0].reference == 0.2 and made.axes[0].leads


def test_descent_finds_the_smallest_network(tmp_path: Path) -> None:
    plan(tmp_path, objective=params(max=SMALLEST_PARAMS))
    with pytest.raises(BudgetError, match=f"at most {SMALLEST_PARAMS - 1}, but the smallest found"):
        plan(tmp_path, objective=params(max=SMALLEST_PARAMS - 1))


def test_descent_finds_the_largest_network(tmp_path: Path) -> None:
    largest = 64 * 4 + 4 + 4 * 7 + 7 + 7 * 2 + 2
    plan(tmp_path, objective=params(min=largest))
    with pytest.raises(BudgetError, match=f"at least {largest + 1}, but the largest .* {largest}"):
        plan(tmp_path, objective=params(min=largest + 1))


def test_a_budget_that_only_compression_meets_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.testing.toys.ToySpace.suggest", _at_least_two)
    monkeypatch.setattr("orchestrator.testing.toys.ToySpace.published", lambda space: {})
    budget = params(max=SMALLEST_PARAMS)
    with pytest.raises(BudgetError):
        plan(tmp_path, objective=budget)
    plan(tmp_path, objective=budget, compressor=HALVING)


def _at_least_two(space: Any, trial: Any) -> dict[str, Any]:
    trial.suggest_categorical("kind", ["plain", "flat"])
    return {"widths": [trial.suggest_int("width", 2, 4)]}


def test_a_deployed_budget_that_nothing_can_meet_is_refused(tmp_path: Path) -> None:
    latency = {"latency_ms": {"name": "latency_ms", "max": 0.01}}
    with pytest.raises(BudgetError, match=r"latency_ms: .* smallest network found needs 0\.69 ms"):
        plan(tmp_path, objective=latency)


def test_a_tight_deployed_budget_is_a_warning(tmp_path: Path) -> None:
    latency = {"latency_ms": {"name": "latency_ms", "max": 0.5}}
    assert "only compressed" in plan(tmp_path, objective=latency, compressor=HALVING).warnings[-1]
    met = {"latency_ms": {"name": "latency_ms", "max": SMALLEST_PARAMS / 100}}
    warnings = plan(tmp_path, objective=met, budget={"candidates": 9}).warnings
    assert not any("latency_ms" in text for text in warnings)


def test_a_share_above_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"between 0 and 1, found a budget of 90.*written 0\.9"):
        plan(tmp_path, objective={"accuracy": {"name": "accuracy", "min": 90}})


@pytest.mark.parametrize(
    ("sampler", "kind", "message"),
    [
        ({"name": "nope"}, PluginError, "no sampler is called 'nope'"),
        ({"name": "tpe", "startup": "x"}, ConfigError, "sampler.startup"),
        ({"name": "tpe", "strtup": 1}, ConfigError, "did you mean 'startup'"),
    ],
)
def test_the_sampler_is_checked_too(
    tmp_path: Path, sampler: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        plan(tmp_path, sampler=sampler)


def test_a_teacher_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no finalist's folder"):
        plan(tmp_path, teacher=str(tmp_path / "gone"))


def test_weights_that_the_search_trains_itself_are_planned_and_told(tmp_path: Path) -> None:
    made = plan(tmp_path, weights="trained")
    assert made.teacher is not None
    assert any("trained first" in warning for warning in made.warnings)
    with pytest.raises(ConfigError, match="trains its teacher first"):
        plan(tmp_path, weights="trained", teacher=str(tmp_path))


def test_an_unknown_preset_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="toy has no 'smal'; did you mean 'small'"):
        plan(tmp_path, space={"name": "toy", "preset": "smal"})


def test_a_compressor_that_lacks_what_it_requires_is_refused(tmp_path: Path) -> None:
    made: Factory = factory(tmp_path, compressor=HALVING)
    (halving,) = made.assembly.compressors.values()
    halving.requires = frozenset({"onnx"})
    with pytest.raises(ConfigError, match=r"requires \['onnx'\]"):
        made.assembly.compression.check()


def test_what_a_device_cannot_tell_is_said_before_anything_is_paid(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot tell energy"):
        plan(tmp_path, objective={"energy": {"name": "energy"}})


def test_what_rises_on_a_device_spans_from_the_largest_to_the_smallest_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gauge(device: Any, artifact: Artifact, asked: Gauge, *more: Any) -> dict[str, float]:
        return {"value": 1e6 / artifact.size_bytes}

    monkeypatch.setattr(ToyDevice, "gauge", gauge)
    made = plan(tmp_path, objective={"throughput": {"name": "throughput"}})
    (axis,) = [axis for axis in made.axes if axis.name == "throughput"]
    assert 0 < axis.reference < axis.best == 1e6 / SMALLEST_PARAMS


def test_a_plan_with_images_survives_its_file_as_text(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert made.strips
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))).strips == made.strips
