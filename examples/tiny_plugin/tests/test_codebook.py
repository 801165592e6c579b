"""The compressor fulfils its contract on a file that knows something."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from orchestrator_tiny.codebook import Codebook, clustered
from orchestrator_tiny.space import TinyNet

from orchestrator import Artifact, CompressionContext
from orchestrator.errors import CompressionError, ConfigError
from orchestrator.testing.compressor import check_compressor

STAGES = [{"width": 24, "depth": 2, "operator": "convolution"}]


class Runtime:
    """As much of a device as the contract suite needs."""

    formats = frozenset({"onnx"})

    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(artifact.path, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {"images": images})[0])


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """Noise (64, 1, 8, 8) with one bright quarter, and which one (64,)."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 64)
    pixels = generator.normal(0, 0.3, (64, 1, 8, 8)).astype(np.float32)
    pixels[labels == 1, :, 2::3] += 2
    pixels[labels == 0, :, :, 2::3] += 2
    return pixels, labels


@pytest.fixture
def artifact(images: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Artifact:
    torch.manual_seed(0)
    network = TinyNet(STAGES, classes=2, in_channels=1)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    pixels, labels = (torch.from_numpy(part) for part in images)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(pixels), labels).backward()
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            (pixels[:2],),
            str(tmp_path / "model.onnx"),
            dynamo=False,
            input_names=["images"],
            dynamic_axes={"images": {0: "batch"}},
        )
    return Artifact(tmp_path / "model.onnx", "onnx")


def _context(images: tuple[np.ndarray, np.ndarray]) -> CompressionContext:
    return CompressionContext(space=None, device=Runtime(), calibration=images[0], seed=0)


def test_the_compressor_fulfils_its_contract(images, artifact) -> None:
    network = TinyNet(STAGES, classes=2, in_channels=1)
    check_compressor(Codebook(), _context(images), build=lambda: network, artifact=artifact)


@pytest.mark.parametrize(("bits", "at_most"), [(8, 0.45), (4, 0.3)])
def test_the_file_shrinks_as_promised(images, artifact, bits: int, at_most: float) -> None:
    smaller = Codebook().transform(artifact, {"bits": bits}, _context(images))
    assert smaller.path.name == f"model.codebook{bits}.onnx"
    assert smaller.size_bytes < at_most * artifact.size_bytes


def test_logits_move_little(images, artifact) -> None:
    expected = Runtime().predict(artifact, images[0])
    smaller = Codebook().transform(artifact, {"bits": 8}, _context(images))
    assert np.abs(Runtime().predict(smaller, images[0]) - expected).max() < 0.1


def test_a_network_of_few_weights_is_refused(images, artifact) -> None:
    network = TinyNet([{"width": 2, "depth": 1, "operator": "separable"}], classes=2, in_channels=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(network, (torch.zeros(2, 1, 8, 8),), str(artifact.path), dynamo=False)
    with pytest.raises(CompressionError, match="nothing to share"):
        Codebook().transform(artifact, {"bits": 4}, _context(images))


def test_other_bits_are_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="expected 0, 4 and 8"):
        Codebook(bits=(3,))


def test_a_codebook_of_two_finds_two_clusters() -> None:
    centres, indices = clustered(np.array([0.0, 0.1, 0.9, 1.0], np.float32), 2)
    assert centres == pytest.approx([0.05, 0.95])
    assert indices.tolist() == [0, 0, 1, 1]
