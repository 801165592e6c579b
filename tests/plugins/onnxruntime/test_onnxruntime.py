from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orchestrator import Artifact, Device
from orchestrator.errors import CompileError, DeviceError
from orchestrator.plugins import installed
from orchestrator.testing.device import check_device

EXAMPLE = torch.zeros(1, 3, 8, 8)


class Sorts(nn.Module):
    """An operation that ONNX has not."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x[:, 0]).real


@pytest.fixture
def device() -> Device:
    return installed().create("device", "onnxruntime", {})


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))


@pytest.mark.parametrize("final", [False, True])
def test_the_device_fulfils_its_contract(device: Device, tmp_path: Path, final: bool) -> None:
    check_device(device, tmp_path, final=final)


def test_a_compiled_file_is_alone_quiet_and_named(
    device: Device, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    artifact = device.compile(network(), EXAMPLE, tmp_path / "models" / "0001-ab", final=True)

    assert [file.name for file in artifact.path.parent.iterdir()] == ["0001-ab.onnx"]
    assert capfd.readouterr() == ("", "")


def test_a_compiled_file_has_the_promised_names_and_an_open_batch(
    device: Device, tmp_path: Path
) -> None:
    import onnx

    graph = onnx.load(device.compile(network(), EXAMPLE, tmp_path / "it").path).graph

    assert [value.name for value in (*graph.input, *graph.output)] == ["image", "logits"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_a_refused_network_is_a_compile_error_and_leaves_nothing(
    tmp_path: Path, exporter: str
) -> None:
    device = installed().create("device", "onnxruntime", {"exporter": exporter})

    with pytest.raises(CompileError, match=f"the {exporter} exporter does not take Sorts"):
        device.compile(Sorts(), EXAMPLE, tmp_path / "it")

    assert list(tmp_path.iterdir()) == []


def test_a_network_without_values_is_refused(device: Device, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"0\.weight is on the meta device"):
        device.compile(network().to("meta"), EXAMPLE, tmp_path / "it")


def test_no_images_give_no_logits(device: Device, tmp_path: Path) -> None:
    artifact = device.compile(network(), EXAMPLE, tmp_path / "it")

    assert device.predict(artifact, np.zeros((0, 3, 8, 8), np.float32)).shape == (0, 2)


def test_images_of_another_size_say_what_was_expected(device: Device, tmp_path: Path) -> None:
    artifact = device.compile(network(), EXAMPLE, tmp_path / "it")

    with pytest.raises(CompileError, match=r"shape \(1, 3, 9, 9\).*'batch', 3, 8, 8"):
        device.predict(artifact, np.zeros((1, 3, 9, 9), np.float32))


def test_a_rewritten_file_is_loaded_anew(device: Device, tmp_path: Path) -> None:
    images = np.ones((1, 3, 8, 8), np.float32)
    first = device.predict(device.compile(network(), EXAMPLE, tmp_path / "it"), images)

    second = device.predict(device.compile(network(), EXAMPLE, tmp_path / "it"), images)

    assert not np.allclose(first, second)


def test_a_file_that_is_no_network_is_a_compile_error(device: Device, tmp_path: Path) -> None:
    (tmp_path / "it.onnx").write_bytes(b"no network")

    with pytest.raises(CompileError, match=r"does not load it\.onnx"):
        device.runner(Artifact(tmp_path / "it.onnx", "onnx"))


def test_another_format_and_a_missing_file_cost_their_candidate_alone(
    device: Device, tmp_path: Path
) -> None:
    with pytest.raises(CompileError, match="'pte'"):
        device.runner(Artifact(tmp_path / "it.pte", "pte"))
    with pytest.raises(CompileError, match="cannot be read"):
        device.runner(Artifact(tmp_path / "it.onnx", "onnx"))


def test_the_reference_is_the_same_bytes_everywhere(device: Device, tmp_path: Path) -> None:
    first = device.reference(tmp_path / "a").path
    second = device.reference(tmp_path / "b").path

    assert first.read_bytes() == second.read_bytes()
    assert list(first.parent.iterdir()) == [first]


def test_no_threads_is_a_device_error() -> None:
    with pytest.raises(DeviceError, match=r"device\.onnxruntime\.threads is 0"):
        installed().create("device", "onnxruntime", {"threads": 0})


def test_a_missing_runtime_says_how_to_install_it(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(DeviceError, match="pip install onnxruntime"):
        device.check()


def test_importing_the_device_does_not_import_torch() -> None:
    program = "import orchestrator_onnxruntime.runtime, sys; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
