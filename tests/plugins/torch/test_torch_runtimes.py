from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orchestrator import Artifact, Device
from orchestrator.errors import CompileError, DeviceError
from orchestrator.plugins import installed
from orchestrator.testing.device import check_device

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)


class Decides(nn.Module):
    """What it does depends on what it sees."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Ours(nn.Module):
    """A class that is nowhere else."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, width, 3)
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.stem(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def device() -> Device:
    return installed().create("device", "torch", {})


@pytest.fixture(scope="module")
def artifact(device: Device, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return device.compile(Ours(), EXAMPLE, tmp_path_factory.mktemp("models") / "0001-ab")


def test_torch_fulfils_the_contract_of_devices(device: Device, tmp_path: Path) -> None:
    check_device(device, tmp_path)


@pytest.mark.slow
def test_compiled_torch_fulfils_the_contract_of_devices(tmp_path: Path) -> None:
    check_device(installed().create("device", "torch_compiled", {}), tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cuda_fulfils_the_contract_of_devices(tmp_path: Path) -> None:
    check_device(installed().create("device", "cuda", {}), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_machine_without_cuda_is_told_so() -> None:
    with pytest.raises(DeviceError, match=r"device=cuda: .* finds no CUDA device"):
        installed().create("device", "cuda", {}).check()


def test_a_machine_without_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DeviceError, match=r"needs a C\+\+ compiler.*device=torch\."):
        installed().create("device", "torch_compiled", {}).check()


def test_what_the_compiler_says_last_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator_torch import export

    refusing = tmp_path / "refusing.py"
    refusing.write_text("raise SystemExit('no such instruction')")
    monkeypatch.setattr(export, "_PACKAGER", refusing)
    with pytest.raises(CompileError, match="does not take Ours: no such instruction"):
        export.package(Ours(), EXAMPLE, tmp_path / "it.pt2")
    assert list(tmp_path.iterdir()) == [refusing]


def test_a_program_runs_where_the_networks_class_is_not(
    device: Device, artifact: Artifact, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    lines = device.usage(artifact).lines.replace(artifact.path.name, str(artifact.path))
    program = (
        f"import numpy\nimages = numpy.load({str(tmp_path / 'images.npy')!r})\n{lines}\n"
        f"numpy.save({str(tmp_path / 'logits.npy')!r}, logits)"
    )

    subprocess.run([sys.executable, "-I", "-c", program], check=True)

    expected = Ours()(torch.from_numpy(IMAGES)).detach()
    assert np.allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-6)


def test_predicting_leaves_the_processs_threads_alone(artifact: Artifact) -> None:
    before = torch.get_num_threads()
    device = installed().create("device", "torch", {"threads": before + 1})

    assert device.predict(artifact, IMAGES).shape == (3, 2)
    assert torch.get_num_threads() == before


def test_operators_are_told_with_their_layers(device: Device, artifact: Artifact) -> None:
    kernels = device.kernels(artifact)

    assert ("stem", "conv2d", "float32", None) in [
        (kernel.layer, kernel.operator, kernel.precision, kernel.share) for kernel in kernels
    ]
    assert not any(kernel.integer for kernel in kernels)


def test_weights_do_not_count_in_a_programs_signature(
    device: Device, artifact: Artifact, tmp_path: Path
) -> None:
    trained = Ours()
    for parameter in trained.parameters():
        parameter.data += 1
    same = device.compile(trained, EXAMPLE, tmp_path / "same")
    wider = device.compile(Ours(5), EXAMPLE, tmp_path / "wider")

    assert device.signature(same) == device.signature(artifact) != device.signature(wider)


def test_what_torch_does_not_export_is_a_compile_error_and_leaves_nothing(
    device: Device, tmp_path: Path
) -> None:
    with pytest.raises(CompileError, match=r"torch\.export does not take Decides"):
        device.compile(Decides(), EXAMPLE, tmp_path / "it")

    assert list(tmp_path.iterdir()) == []


def test_other_sizes_and_other_files_are_told_by_torch(
    device: Device, artifact: Artifact, tmp_path: Path
) -> None:
    assert device.predict(artifact, IMAGES[:0]).shape == (0, 2)
    with pytest.raises(CompileError, match=r"takes images of \[3, 8, 8\]"):
        device.predict(artifact, np.zeros((1, 3, 9, 9), np.float32))
    (tmp_path / "it.pt2").write_text("no network")
    with pytest.raises(CompileError, match=r"does not load it\.pt2"):
        device.runner(Artifact(tmp_path / "it.pt2", "pt2"))


def test_compiled_and_eager_files_are_not_taken_for_each_other(device: Device) -> None:
    compiled, cuda = (installed().create("device", name, {}) for name in ("torch_compiled", "cuda"))

    assert device.compiles_like(cuda) and not device.compiles_like(compiled)
