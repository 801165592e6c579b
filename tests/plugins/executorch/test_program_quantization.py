from __future__ import annotations

from dataclasses import replace

import local_runtime
import numpy as np
import pytest
import torch
from torch import nn

from orchestrator import CompressionContext, errors
from orchestrator.testing.compressor import check_compressor

pytest.importorskip("executorch")
pytest.importorskip("torchao")

# Lowering costs seconds a network.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

INT8 = {"scheme": "int8"}


@pytest.fixture(scope="module")
def quantizer():
    from orchestrator_executorch.quantization import ProgramQuantization

    return ProgramQuantization(calibration_images=20)


@pytest.fixture(scope="module")
def context():
    from orchestrator_executorch.runtime import ExecuTorch

    images, _ = local_runtime.striped_images(160)
    return CompressionContext(None, ExecuTorch(), images, seed=0, network=local_runtime.trained())


@pytest.fixture(scope="module")
def artifact(context, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pte")
    return context.device.compile(context.network, torch.zeros(1, 1, 8, 8), folder / "net")


def test_it_fulfils_the_contract(quantizer, context, artifact):
    check_compressor(quantizer, context, build=local_runtime.Striped, artifact=artifact)


def test_all_convolutions_are_computed_with_integers(quantizer, context, artifact):
    before = {name: tensor.clone() for name, tensor in context.network.state_dict().items()}
    made = quantizer.transform(artifact, INT8, context)
    heavy = {"Conv2d", "DepthwiseConv2d", "FullyConnected"}
    layers = [kernel for kernel in context.device.kernels(made) if kernel.operator in heavy]
    assert len(layers) == 5
    assert {kernel.precision for kernel in layers} == {"int8"}
    assert made.path.name == "net.int8.pte" and made.label == "int8" and not made.exact
    assert all(torch.equal(before[n], t) for n, t in context.network.state_dict().items())


def test_dynamic_int8_leaves_convolutions_of_space_in_float(context, artifact):
    from orchestrator_executorch.quantization import ProgramQuantization

    dynamic = ProgramQuantization(schemes=("none", "int8_dynamic"))
    made = dynamic.transform(artifact, {"scheme": "int8_dynamic"}, context)
    kinds = {(k.operator, k.precision) for k in context.device.kernels(made)}
    assert ("FullyConnected", "int8") in kinds and ("DepthwiseConv2d", "float32") in kinds
    assert made.label == "int8_dynamic"


def test_a_file_that_would_compute_in_float_is_refused_with_its_layers(
    quantizer, context, tmp_path
):
    network = nn.Sequential(nn.LayerNorm(8), nn.Flatten())
    made = context.device.compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "norm")
    with pytest.raises(errors.CompressionError, match=r"native_layer_norm .*stayed in float"):
        quantizer.transform(made, INT8, replace(context, network=network))
    assert [path.name for path in tmp_path.iterdir()] == ["norm.pte"]


def test_without_the_network_or_on_a_quantized_file_it_says_so(quantizer, context, artifact):
    with pytest.raises(errors.CompressionError, match="without the network"):
        quantizer.transform(artifact, INT8, replace(context, network=None))
    with pytest.raises(errors.CompressionError, match="int8 already"):
        quantizer.transform(replace(artifact, label="int8"), INT8, context)


def test_no_calibration_images_are_a_clear_error(quantizer, context, artifact):
    none = np.zeros((0, 1, 8, 8), np.float32)
    with pytest.raises(errors.CompressionError, match="found none"):
        quantizer.transform(artifact, INT8, replace(context, calibration=none))
