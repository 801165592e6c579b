from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("openvino")

from orchestrator import Artifact, Device
from orchestrator.errors import CompileError, DeviceError
from orchestrator.plugins import installed
from orchestrator.testing.device import check_device

EXAMPLE = torch.zeros(1, 3, 8, 8)
WITHIN = {"atol": 1e-5}


class Sorts(nn.Module):
    """An operation that neither ONNX nor OpenVINO has."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x[:, 0]).real


class Reordered(nn.Module):
    """Channels in an order that is not its own inverse, then convolutions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.deep = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 1)
        self.register_buffer("order", torch.tensor([0, 3, 1, 4, 2, 5]))

    def forward(self, x: Tensor) -> Tensor:
        return self.deep(self.stem(x).relu().index_select(1, self.order)).mean((2, 3))


def network(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Hardswish(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(36 * width, 2)).eval()


@pytest.fixture(scope="module")
def device() -> Device:
    return installed().create("device", "openvino", {})


@pytest.fixture(scope="module")
def artifact(device: Device, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return device.compile(network(), EXAMPLE, tmp_path_factory.mktemp("models") / "0001-ab")


def test_openvino_fulfils_the_contract_of_devices(device: Device, tmp_path: Path) -> None:
    check_device(device, tmp_path)


@pytest.mark.parametrize("exporter", ["onnx", "torch"])
def test_both_ways_into_openvino_give_the_same_function(exporter: str, tmp_path: Path) -> None:
    device = installed().create("device", "openvino", {"exporter": exporter})
    images = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)

    found = device.predict(device.compile(network(), EXAMPLE, tmp_path / "it"), images)

    assert np.allclose(found, network()(torch.from_numpy(images)).detach(), **WITHIN)


def test_channels_in_another_order_stay_in_it(device: Device, tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)

    found = device.predict(device.compile(Reordered().eval(), EXAMPLE, tmp_path / "it"), images)

    assert np.allclose(found, Reordered()(torch.from_numpy(images)).detach(), **WITHIN)


def test_another_function_than_the_networks_is_refused(tmp_path: Path) -> None:
    device = installed().create("device", "openvino", {"exporter": "torch"})
    with pytest.raises(CompileError, match=r"answers are .* off.*exporter=onnx"):
        device.compile(Reordered().eval(), EXAMPLE, tmp_path / "it")
    assert not list(tmp_path.iterdir())


def test_two_files_are_written_quietly_and_nothing_else(
    device: Device, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    artifact = device.compile(network(), EXAMPLE, tmp_path / "0001-ab", final=True)

    assert [file.name for file in artifact.files] == ["0001-ab.xml", "0001-ab.bin"]
    assert sorted(tmp_path.iterdir()) == sorted(artifact.files)
    assert capfd.readouterr() == ("", "")


def test_the_lines_of_the_card_run_both_files(device: Device, artifact: Artifact) -> None:
    images = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    usage = device.usage(artifact)
    lines = usage.lines.replace(artifact.path.name, str(artifact.path))
    known = {"images": images}

    exec(lines, known)

    assert np.allclose(known["logits"], device.predict(artifact, images), **WITHIN)


def test_floats_are_floats_unless_another_precision_is_asked_for(
    device: Device, artifact: Artifact
) -> None:
    kernels = device.kernels(artifact)

    assert {kernel.precision for kernel in kernels} == {"float32"}
    assert any(kernel.operator == "Convolution" for kernel in kernels)
    assert sum(kernel.share for kernel in kernels) == pytest.approx(1.0, abs=0.01)


def test_bfloat16_is_not_exact_and_is_named_in_the_fingerprint(tmp_path: Path) -> None:
    device = installed().create("device", "openvino", {"precision": "bf16"})
    if "BF16" not in _capabilities():
        with pytest.raises(DeviceError, match="precision is bf16"):
            device.check()
        return

    artifact = device.compile(network(16), EXAMPLE, tmp_path / "it")

    assert not artifact.exact and device.fingerprint()["precision"] == "bf16"
    assert "bfloat16" in {kernel.precision for kernel in device.kernels(artifact)}
    assert '"INFERENCE_PRECISION_HINT": "bf16"' in device.usage(artifact).lines
    device.close()


def _capabilities() -> list[str]:
    import openvino

    return openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("exporter", ["onnx", "torch"])
def test_what_openvino_refuses_is_a_compile_error_and_leaves_nothing(
    exporter: str, tmp_path: Path
) -> None:
    device = installed().create("device", "openvino", {"exporter": exporter})

    with pytest.raises(CompileError, match=f"Sorts does not come to OpenVINO by way of {exporter}"):
        device.compile(Sorts(), EXAMPLE, tmp_path / "it")

    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_and_other_files_are_told(
    device: Device, artifact: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(CompileError, match=r"shape \(1, 3, 9, 9\).*\[\?,3,8,8\]"):
        device.predict(artifact, np.zeros((1, 3, 9, 9), np.float32))
    (tmp_path / "it.xml").write_text("no network")
    with pytest.raises(CompileError, match=r"does not load it\.xml"):
        device.runner(Artifact(tmp_path / "it.xml", "openvino"))
    with pytest.raises(CompileError, match="'onnx'"):
        device.runner(replace(artifact, format="onnx"))


def test_no_images_give_no_answers(device: Device, artifact: Artifact) -> None:
    assert device.predict(artifact, np.zeros((0, 3, 8, 8), np.float32)).shape == (0, 2)


def test_the_reference_of_openvino_is_the_same_everywhere(device: Device, tmp_path: Path) -> None:
    first, second = (device.reference(tmp_path / name) for name in "ab")

    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_openvino_reports_nothing_to_its_maker() -> None:
    program = (
        "import sys, orchestrator_openvino.export\n"
        "sys.exit(any(sys.modules[name] for name in sys.modules if 'openvino_telemetry' in name))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_choosing_openvino_imports_neither_torch_nor_openvino() -> None:
    program = (
        "import orchestrator_openvino.runtime, sys\n"
        "sys.exit(bool({'torch', 'openvino'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_signal_is_heard_after_openvino_was_used(device: Device, artifact: Artifact) -> None:
    program = (
        "import os, signal, sys\n"
        "import numpy as np\n"
        "from orchestrator_openvino.loader import load\n"
        "session = load(sys.argv[1], {'threads': 1, 'precision': 'f32'})\n"
        "session.predict(np.zeros((1, 3, 8, 8), np.float32))\n"
        "del session\n"
        "signal.signal(signal.SIGHUP, lambda *told: os._exit(7))\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
    )

    told = subprocess.run([sys.executable, "-c", program, artifact.path], check=False)

    assert told.returncode == 7
