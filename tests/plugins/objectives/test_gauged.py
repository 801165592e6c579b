"""Throughput, peak memory and energy, and what is told where they cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from orchestrator_onnxruntime.runtime import OnnxRuntime
from torch import nn
from toys import ToyDevice

from orchestrator import Artifact, Gauge, Genotype, Objective, Subject
from orchestrator.errors import CandidateError, ConfigError, DeviceError
from orchestrator.paths import config_dir
from orchestrator.plugins import installed
from orchestrator.testing.objective import check_objective

NAMES = ["throughput", "peak_memory", "energy"]


def objective(name: str, **options: int) -> Objective:
    made: Objective = installed().create("objective", name, options)
    return made


def subject(told: Mapping[str, float], asked: list[Gauge]) -> Subject:
    def gauge(question: Gauge) -> Mapping[str, float]:
        asked.append(question)
        return told

    return Subject(Genotype("toy", "small", {}), nn.Linear(4, 2), (1, 2, 2), gauge=gauge)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_gauged_fulfils_its_contract(name: str) -> None:
    check_objective(objective(name))
    lines = (Path(config_dir()) / "objective" / f"{name}.yaml").read_text().splitlines()
    assert lines[:2] == [f"# @package objective.{name}", f"name: {name}"]


def test_throughput_asks_for_its_batch_and_threads() -> None:
    asked: list[Gauge] = []
    seen = subject({"value": 80.0, "low": 70.0}, asked)
    made = objective("throughput", batch=8, threads=2)
    assert made.measure(seen) == 80.0
    assert made.explain(seen) == {"low": 70.0}
    assert set(asked) == {Gauge("throughput", (1, 2, 2), 8, 2)}


@pytest.mark.parametrize("option", ["batch", "threads"])
def test_a_batch_or_threads_of_none_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=f"throughput.{option} is 0, expected 1 or more"):
        objective("throughput", **{option: 0})


@pytest.mark.parametrize("name", NAMES)
def test_without_a_device_there_is_no_figure(name: str) -> None:
    bare = Subject(Genotype("toy", "small", {}), nn.Linear(4, 2), (1, 2, 2))
    with pytest.raises(CandidateError, match="no device to ask"):
        objective(name).measure(bare)


def test_a_device_that_cannot_tell_says_so(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="device=toy_device cannot tell energy"):
        ToyDevice().gauge(Artifact(tmp_path, "toy"), Gauge("energy"), 1.0, tmp_path)


def network(width: int) -> nn.Module:
    """4 · width² bytes of weights, and as many multiply-adds as there are weights."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width))


def test_a_runtime_tells_memory_and_throughput(tmp_path: Path) -> None:
    device, example = OnnxRuntime(), torch.zeros(1, 1, 8, 8)
    small, large = (device.compile(network(w), example, tmp_path / f"{w}") for w in (16, 2048))
    needed = [device.gauge(a, Gauge("peak_memory"), 1.0, tmp_path) for a in (small, large)]
    # The weights lie in the file and in the session.
    assert needed[1]["value"] - needed[0]["value"] >= large.size_bytes - small.size_bytes
    assert needed[1]["whole_process"] > needed[1]["value"]
    reference_ms = device.calibrate(tmp_path)
    fast, slow = (
        device.gauge(a, Gauge("throughput", (1, 8, 8), 16), reference_ms, tmp_path)
        for a in (small, large)
    )
    assert fast["value"] > slow["value"]
    assert slow["low"] <= slow["value"] <= slow["high"]
    device.close()


def test_a_batch_that_is_not_taken_is_the_files_fault(tmp_path: Path) -> None:
    device = OnnxRuntime()
    artifact = device.compile(network(4), torch.zeros(1, 1, 8, 8), tmp_path / "model")
    with pytest.raises(Exception, match="a batch of shape"):
        device.gauge(artifact, Gauge("throughput", (1, 9, 9), 2), 1.0, tmp_path)
    device.close()
