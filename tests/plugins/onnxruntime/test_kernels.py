"""What ONNX Runtime really executes for a file."""

from __future__ import annotations

from pathlib import Path

import local_runtime
import pytest
import torch
from orchestrator_onnxruntime.quantization import Quantization
from orchestrator_onnxruntime.runtime import OnnxRuntime
from torch import nn

from orchestrator import Artifact, CompressionContext
from orchestrator.errors import CompileError


def compiled(network: nn.Module, folder: Path) -> Artifact:
    return OnnxRuntime().compile(network, torch.zeros(1, 1, 8, 8), folder / "it")


def int8(artifact: Artifact) -> Artifact:
    images, _ = local_runtime.striped_images(20)
    context = CompressionContext(None, OnnxRuntime(), images, seed=0)
    return Quantization().transform(artifact, {"scheme": "int8"}, context)


def test_layers_come_in_order_with_what_comes_out_and_their_share(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.Flatten(), nn.Linear(576, 2))
    found = OnnxRuntime().kernels(compiled(network, tmp_path))
    # Between them it may put what changes the order of channels in memory.
    told = [(k.operator, k.layer.split()[-1]) for k in found if "Reorder" not in k.operator]
    assert told == [("Conv", "16×6×6"), ("Flatten", "576"), ("Gemm", "2")]
    assert {k.precision for k in found} == {"float32"}
    assert sum(k.share for k in found) == pytest.approx(1)


def test_integer_layers_are_told_from_what_stays_in_float(tmp_path):
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Hardsigmoid(), nn.Conv2d(8, 8, 1), nn.Flatten())
    found = OnnxRuntime().kernels(int8(compiled(network, tmp_path)))
    precision = {k.operator: k.precision for k in found}
    assert precision["QLinearConv"] == "int8"
    assert precision["HardSigmoid"] == precision["DequantizeLinear"] == "float32"


def test_arithmetic_on_shapes_is_not_taken_for_integer_layers(tmp_path):
    class Repeated(nn.Module):
        def forward(self, x):
            return torch.ones(1, 3).expand(x.shape[0], -1) + x.mean((1, 2, 3))[:, None]

    found = OnnxRuntime().kernels(compiled(Repeated(), tmp_path))
    assert "Shape" in {k.operator for k in found}
    assert not any(k.integer for k in found)


def test_what_does_not_run_is_a_compile_error(tmp_path):
    (tmp_path / "it.onnx").write_bytes(b"no network")
    with pytest.raises(CompileError, match=r"does not run it\.onnx"):
        OnnxRuntime().kernels(Artifact(tmp_path / "it.onnx", "onnx"))
