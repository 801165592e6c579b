"""What decides a latency in OpenVINO is in a file's signature, what does not is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from signed_networks import network
from torch import nn

pytest.importorskip("openvino")

from orchestrator_openvino.runtime import OpenVino


def signature(made: nn.Module, folder: Path) -> str:
    device = OpenVino()
    return device.signature(device.compile(made, torch.zeros(1, 1, 8, 8), folder / "it"))


def test_weights_do_not_count_in_openvino(tmp_path: Path) -> None:
    assert signature(network(), tmp_path) == signature(network(trained=True), tmp_path)


@pytest.mark.parametrize("other", [{"width": 9}, {"limit": 3.0}, {"depth": 3}])
def test_shapes_and_operators_count_in_openvino(other: dict[str, float], tmp_path: Path) -> None:
    assert signature(network(), tmp_path) != signature(network(**other), tmp_path)
