from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from orchestrator_objectives.params import count_parameters
from torch import nn

from orchestrator import Artifact, Genotype, Latency, Objective, Subject
from orchestrator.errors import BuildError, CandidateError
from orchestrator.paths import config_dir
from orchestrator.plugins import installed
from orchestrator.testing.objective import check_objective

NAMES = [
    "accuracy",
    "latency_ms",
    "macs",
    "memory_access",
    "params",
    "peak_activation",
    "size_bytes",
]


@pytest.fixture
def subject() -> Subject:
    return Subject(Genotype("toy", "small", {}), nn.Linear(4, 2), (1, 2, 2))


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_fulfils_its_contract(name: str) -> None:
    objective = installed().create("objective", name, {})

    check_objective(objective)

    assert objective.name == name


@pytest.mark.parametrize("name", NAMES)
def test_an_objective_has_a_yaml_in_its_own_package(name: str) -> None:
    lines = (Path(config_dir()) / "objective" / f"{name}.yaml").read_text().splitlines()

    assert lines[:2] == [f"# @package objective.{name}", f"name: {name}"]


@pytest.mark.parametrize("value", [math.nan, 1.5, 75.0])
def test_accuracy_that_is_no_share_is_refused(subject: Subject, value: float) -> None:
    accuracy: Objective = installed().create("objective", "accuracy", {})

    with pytest.raises(CandidateError, match="share in"):
        accuracy.measure(replace(subject, metrics={"accuracy": value}))


def test_missing_accuracy_names_the_metrics_that_are_known(subject: Subject) -> None:
    accuracy: Objective = installed().create("objective", "accuracy", {})

    with pytest.raises(CandidateError, match="known metrics: loss"):
        accuracy.measure(replace(subject, metrics={"loss": 0.1}))


def test_size_is_that_of_the_file(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "network.onnx"
    file.write_bytes(b"12345")
    size: Objective = installed().create("objective", "size_bytes", {})

    assert size.measure(replace(subject, artifact=Artifact(file, "onnx"))) == 5.0


def test_latency_is_the_calibrated_figure_and_explains_the_raw_clock(subject: Subject) -> None:
    measured = replace(subject, latency=lambda: Latency(2.0, 4.0, 2.2, 2.4, 3.0, 60))
    latency: Objective = installed().create("objective", "latency_ms", {})

    assert latency.measure(measured) == 2.0
    assert latency.explain(measured)["median_ms"] == 2.4


def test_tied_parameters_count_once() -> None:
    network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.LayerNorm(8))
    network[1].weight = network[0].weight
    network.append(network[0])

    assert count_parameters(network) == 8 * 8 + 8 + 16
    assert count_parameters(network) == sum(p.numel() for p in network.parameters())


def test_parameters_are_counted_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = nn.Linear(100_000, 100_000)

    assert count_parameters(network) == 100_000 * 100_001


def test_a_lazy_layer_cannot_be_counted() -> None:
    with pytest.raises(BuildError, match="no shape yet"):
        count_parameters(nn.LazyLinear(3))
