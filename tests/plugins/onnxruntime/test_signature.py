"""What decides a file's latency is in its signature, what does not is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from orchestrator_onnxruntime.quantization import Quantization
from orchestrator_onnxruntime.runtime import OnnxRuntime
from signed_networks import network
from torch import nn

from orchestrator import Artifact, CompressionContext


@pytest.fixture
def device() -> OnnxRuntime:
    return OnnxRuntime()


def compiled(device: OnnxRuntime, made: nn.Module, path: Path) -> Artifact:
    return device.compile(made, torch.zeros(1, 1, 8, 8), path)


def quantized(device: OnnxRuntime, made: nn.Module, path: Path) -> Artifact:
    images = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype(np.float32)
    context = CompressionContext(None, device, images, seed=0)
    return Quantization().transform(compiled(device, made, path), {"scheme": "int8"}, context)


@pytest.mark.parametrize("make", [compiled, quantized])
def test_weights_do_not_count(make, device, tmp_path):
    before = make(device, network(), tmp_path / "preview")
    after = make(device, network(trained=True), tmp_path / "model")
    assert device.signature(before) == device.signature(after)


@pytest.mark.parametrize("other", [{"width": 9}, {"limit": 3.0}, {"depth": 3}])
def test_shapes_operators_and_constants_count(other, device, tmp_path):
    one = compiled(device, network(), tmp_path / "one")
    two = compiled(device, network(**other), tmp_path / "two")
    assert device.signature(one) != device.signature(two)


def test_what_a_compressor_did_counts(device, tmp_path):
    plain = compiled(device, network(), tmp_path / "plain")
    int8 = quantized(device, network(), tmp_path / "int8")
    assert device.signature(plain) != device.signature(int8)
