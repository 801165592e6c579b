from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from orchestrator_onnxruntime.runtime import OnnxRuntime
from torch import Tensor, nn


class Shuffled(nn.Module):
    """Reshapes by lengths that it asks for, a resize and a constant for each image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.mark = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(nn.functional.interpolate(x, scale_factor=0.5))
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        x = x.reshape(batch, -1, height * width).transpose(1, 2)
        x = torch.cat([self.mark.expand(x.shape[0], -1, -1), x], dim=1)
        return x.view(x.shape[0], x.shape[1], 4, -1).mean((1, 3))


class Counted(nn.Module):
    """Whole numbers that follow from the images themselves."""

    def forward(self, x: Tensor) -> Tensor:
        bright = (x.flatten(1) > 0).sum(1)
        return torch.stack([bright, bright + x.shape[1]], dim=1).float()


@pytest.mark.parametrize("network", [Shuffled(), Counted()], ids=["shuffled", "counted"])
def test_the_function_stays_the_same(network: nn.Module, tmp_path: Path) -> None:
    device = OnnxRuntime()
    artifact = device.compile(network, torch.zeros(1, 3, 8, 8), tmp_path / "it")
    for count in (1, 2, 7):
        images = np.random.default_rng(count).standard_normal((count, 3, 8, 8)).astype(np.float32)
        with torch.no_grad():
            wanted = network(torch.from_numpy(images)).numpy()
        assert np.allclose(device.predict(artifact, images), wanted, atol=1e-5)


def test_what_is_known_of_shapes_is_not_computed_again(tmp_path: Path) -> None:
    artifact = OnnxRuntime().compile(Shuffled(), torch.zeros(1, 3, 8, 8), tmp_path / "it")
    graph = onnx.load(artifact.path).graph
    known = {weight.name for weight in graph.initializer}
    known |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    reshapes = [node.input[1] for node in graph.node if node.op_type == "Reshape"]
    assert len(reshapes) >= 3 and set(reshapes) <= known
    # Only what repeats a constant for each image still asks for the batch.
    assert sum(node.op_type == "Shape" for node in graph.node) == 2


def test_what_is_measured_is_what_ships(tmp_path: Path) -> None:
    device, example = OnnxRuntime(), torch.zeros(1, 3, 8, 8)
    network = Shuffled()
    files = [
        device.compile(network, example, tmp_path / str(final), final=final).path
        for final in (False, True)
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
