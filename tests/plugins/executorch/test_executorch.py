from __future__ import annotations

import local_runtime
import numpy as np
import pytest
import torch
from torch import nn

from orchestrator import Artifact, errors
from orchestrator.testing.device import check_device

pytest.importorskip("executorch")
pytest.importorskip("torchao")

# Lowering costs seconds a network.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def device():
    from orchestrator_executorch.runtime import ExecuTorch

    device = ExecuTorch()
    yield device
    device.close()


@pytest.fixture(scope="module")
def trained():
    return local_runtime.trained()


@pytest.fixture(scope="module")
def artifact(device, trained, tmp_path_factory):
    return device.compile(trained, torch.zeros(1, 1, 8, 8), tmp_path_factory.mktemp("pte") / "net")


class Peaks(nn.Module):
    """Adaptive max pooling to 1 × 1 and to 2 × 2, of weights that lie channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.stem.weight.data = self.stem.weight.to(memory_format=torch.channels_last)

    def forward(self, x):
        x = self.stem(x)
        wide = nn.functional.adaptive_max_pool2d(x, 2)
        return torch.cat([nn.functional.adaptive_max_pool2d(x, 1).flatten(1), wide.flatten(1)], 1)


def test_it_fulfils_the_contract(device, tmp_path):
    check_device(device, tmp_path)


def test_the_layers_of_a_convolutional_network_are_xnnpacks_own(device, artifact):
    kernels = device.kernels(artifact)
    assert {kernel.precision for kernel in kernels} == {"float32"}
    assert [kernel.operator for kernel in kernels].count("Conv2d") == 2
    assert all(kernel.layer.startswith("xnnpack ") for kernel in kernels)


def test_a_layer_that_xnnpack_lacks_is_told_with_its_portable_kernel(device, tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LayerNorm(6))
    found = device.kernels(device.compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "norm"))
    portable = [kernel.operator for kernel in found if kernel.layer.startswith("portable ")]
    assert portable == ["aten::native_layer_norm"]


def test_adaptive_max_pooling_is_lowered_as_windows(device, tmp_path):
    network, images = Peaks().eval(), torch.randn(3, 1, 8, 8)
    made = device.compile(network, images[:1], tmp_path / "peaks")
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_allclose(device.predict(made, images.numpy()), expected, atol=1e-5)
    assert [k.operator for k in device.kernels(made)].count("MaxPooling2d") == 2


def test_files_that_differ_in_weights_have_one_signature(device, artifact, tmp_path):
    example = torch.zeros(1, 1, 8, 8)
    untrained = device.compile(local_runtime.Striped(), example, tmp_path / "untrained")
    other = local_runtime.Striped()
    other.mix[2] = nn.ReLU6()
    clipped = device.compile(other, example, tmp_path / "clipped")
    assert device.signature(untrained) == device.signature(artifact)
    assert device.signature(clipped) != device.signature(artifact)


def test_its_card_lines_give_the_same_answers(device, artifact, monkeypatch):
    images, _ = local_runtime.striped_images(5)
    monkeypatch.chdir(artifact.path.parent)
    names = {"images": images}
    exec(device.usage(artifact).lines, names)
    np.testing.assert_allclose(names["logits"], device.predict(artifact, images), atol=1e-6)


def test_what_is_no_program_is_a_compile_error(device, tmp_path, capfd):
    path = tmp_path / "no.pte"
    path.write_bytes(b"no program")
    for ask in (device.kernels, device.runner):
        with pytest.raises(errors.CompileError, match=r"no\.pte"):
            ask(Artifact(path, "pte"))
    assert capfd.readouterr().err == ""


def test_images_of_another_size_are_refused_with_the_size_it_takes(device, artifact):
    with pytest.raises(errors.CompileError, match=r"\[1, 1, 8, 8\]"):
        device.predict(artifact, np.zeros((2, 1, 9, 9), np.float32))


def test_a_network_without_weights_is_refused(device, tmp_path):
    with torch.device("meta"):
        network = local_runtime.Striped()
    with pytest.raises(errors.CompileError, match="meta device"):
        device.compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "net")
    assert not list(tmp_path.iterdir())
