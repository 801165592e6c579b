"""What decides a latency in OpenVINO is in a file's signature, what does not is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("openvino")

from orchestrator_openvino.runtime import OpenVino


def network(
    width: int = 8, *, limit: float = 6.0, trained: bool = False, depth: int = 2
) -> nn.Module:
    torch.manual_seed(int(trained))
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3)]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.Hardtanh(0.0, limit)]
    layers += [nn.Conv2d(width, 1, 1), nn.Flatten(), nn.LayerNorm(36), nn.Linear(36, 2)]
    made = nn.Sequential(*layers)
    if trained:
        for tensor in (*made.parameters(), *made.buffers()):
            if tensor.is_floating_point():
                tensor.data.uniform_(0.1, 1.0)
    return made.eval()


def signature(made: nn.Module, folder: Path) -> str:
    device = OpenVino()
    return device.signature(device.compile(made, torch.zeros(1, 1, 8, 8), folder / "it"))


def test_weights_do_not_count_in_openvino(tmp_path: Path) -> None:
    assert signature(network(), tmp_path) == signature(network(trained=True), tmp_path)


@pytest.mark.parametrize("other", [{"width": 9}, {"limit": 3.0}, {"depth": 3}])
def test_shapes_and_operators_count_in_openvino(other: dict[str, float], tmp_path: Path) -> None:
    assert signature(network(), tmp_path) != signature(network(**other), tmp_path)
