"""Assembling refuses, by name, what does not fit a task."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.candidate.assembly import Assembly, assemble
from orchestrator.config import check_config
from orchestrator.errors import ConfigError
from orchestrator.plugins import installed

CONFIG: dict[str, Any] = {
    "space": {"name": "mobilenetv2"},
    "dataset": {"name": "digits", "image_size": 16},
    "device": {"name": "onnxruntime"},
    "estimator": {"name": "train"},
    "sampler": {"name": "random"},
    "objective": {"accuracy": {"name": "accuracy"}, "params": {"name": "params"}},
}


def assembled(**groups: Any) -> Assembly:
    objective = {**CONFIG["objective"], **groups.pop("objective", {})}
    return assemble(check_config({**CONFIG, **groups, "objective": objective}), installed())


def test_a_configuration_of_before_there_were_tasks_is_classification() -> None:
    assert assembled().task.name == "classification"


def test_every_metric_of_the_task_may_be_an_objective() -> None:
    assembly = assembled(objective={"top5": {"name": "top5"}})
    assert [target.name for target in assembly.targets] == ["accuracy", "params", "top5"]


def test_an_objective_that_the_task_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"objective\.miou: task 'classification' is judged by"):
        assembled(objective={"miou": {"name": "miou"}})


def test_a_space_that_does_not_serve_the_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="'segmentation' asks for Maps, space 'deit' serves"):
        assembled(
            space={"name": "deit"},
            task={"name": "segmentation"},
            dataset={"name": "scenes"},
            objective={"accuracy": {"name": "miou"}},
        )


def test_a_predicting_estimator_knows_the_leading_metric_alone() -> None:
    with pytest.raises(ConfigError, match=r"top5: estimator 'proxy' predicts accuracy alone"):
        assembled(estimator={"name": "proxy"}, objective={"top5": {"name": "top5"}})


def test_a_proxy_that_waits_for_a_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected an objective of the untrained network"):
        assembled(estimator={"name": "proxy", "proxy": "latency_ms"})
