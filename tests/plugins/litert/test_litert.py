from __future__ import annotations

import local_runtime
import numpy as np
import pytest
import torch
from torch import nn

from orchestrator import Artifact, errors
from orchestrator.testing.device import check_device

pytest.importorskip("ai_edge_litert")

from orchestrator_litert.environment import Environment
from orchestrator_litert.model import HEAVY
from orchestrator_litert.runtime import LiteRt

# Converting costs seconds a network, and needs an environment that one command makes.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(Environment.usual().obstacle()), reason="python -m orchestrator_litert"
    ),
]


@pytest.fixture(scope="module")
def device():
    device = LiteRt()
    yield device
    device.close()


@pytest.fixture(scope="module")
def artifact(device, tmp_path_factory):
    folder, example = tmp_path_factory.mktemp("tflite"), torch.zeros(1, 1, 8, 8)
    return device.compile(local_runtime.trained(), example, folder / "net")


def test_it_fulfils_the_contract(device, tmp_path):
    check_device(device, tmp_path)


def test_the_layers_of_a_float_model_are_told_by_their_modules(device, artifact):
    kernels = device.kernels(artifact)
    assert {kernel.precision for kernel in kernels} == {"float32"}
    # A convolution of one channel, and of one place, becomes another operator of the same weights.
    assert sum(kernel.operator in HEAVY for kernel in kernels) == 5
    assert any(kernel.layer.endswith(" stem.2") for kernel in kernels)


def test_adaptive_max_pooling_is_converted_as_windows(device, tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.AdaptiveMaxPool2d(2), nn.Flatten())
    images = torch.randn(3, 1, 8, 8)
    made = device.compile(network.eval(), images[:1], tmp_path / "peaks")
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_allclose(device.predict(made, images.numpy()), expected, atol=1e-5)


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


def test_images_of_another_size_are_refused_with_the_size_it_takes(device, artifact):
    with pytest.raises(errors.CompileError, match=r"\[1, 1, 8, 8\]"):
        device.predict(artifact, np.zeros((2, 1, 9, 9), np.float32))


def test_what_the_converter_lacks_is_a_compile_error_with_its_word(device, tmp_path):
    class Cumulated(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x[:, 0]).abs()

    with pytest.raises(errors.CompileError, match="converter gives up"):
        device.compile(Cumulated(), torch.zeros(1, 1, 8, 8), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_what_is_no_model_is_a_compile_error(device, tmp_path):
    path = tmp_path / "no.tflite"
    path.write_bytes(b"no model at all")
    for ask in (device.kernels, device.runner):
        with pytest.raises(errors.CompileError, match=r"no\.tflite"):
            ask(Artifact(path, "tflite"))
