from __future__ import annotations

from dataclasses import replace

import local_runtime
import numpy as np
import pytest
import torch
from torch import nn

from orchestrator import CompressionContext, errors
from orchestrator.testing.compressor import check_compressor

pytest.importorskip("ai_edge_litert")

from orchestrator_litert.environment import Environment
from orchestrator_litert.model import HEAVY
from orchestrator_litert.quantization import ModelQuantization
from orchestrator_litert.runtime import LiteRt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(Environment.usual().obstacle()), reason="python -m orchestrator_litert"
    ),
]

EVERY = ("none", "int8", "int8_dynamic", "weights8")


@pytest.fixture(scope="module")
def context():
    images, _ = local_runtime.striped_images(160)
    return CompressionContext(None, LiteRt(), images, seed=0, network=local_runtime.trained())


@pytest.fixture(scope="module")
def artifact(context, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    return context.device.compile(context.network, torch.zeros(1, 1, 8, 8), folder / "net")


def test_it_fulfils_the_contract(context, artifact):
    quantizer = ModelQuantization(calibration_images=20)
    check_compressor(quantizer, context, build=local_runtime.Striped, artifact=artifact)


@pytest.mark.parametrize("scheme", ["int8", "int8_dynamic"])
def test_layers_with_weights_are_computed_with_integers(context, artifact, scheme):
    made = ModelQuantization(schemes=EVERY).transform(artifact, {"scheme": scheme}, context)
    heavy = [k for k in context.device.kernels(made) if k.operator in HEAVY]
    assert len(heavy) == 5 and {kernel.precision for kernel in heavy} == {"int8"}
    assert made.path.name == f"net.{scheme}.tflite" and made.label == scheme and not made.exact
    images, labels = local_runtime.striped_images(100, seed=9)
    assert (context.device.predict(made, images).argmax(1) == labels).mean() > 0.9


def test_weights_in_8_bits_are_small_and_computed_in_float(context, artifact):
    made = ModelQuantization(schemes=EVERY).transform(artifact, {"scheme": "weights8"}, context)
    heavy = [k for k in context.device.kernels(made) if k.operator in HEAVY]
    assert {kernel.precision for kernel in heavy} == {"float32"}
    assert made.size_bytes < artifact.size_bytes


def test_a_whole_int8_file_answers_by_its_card_lines(context, artifact, monkeypatch):
    made = ModelQuantization().transform(artifact, {"scheme": "int8"}, context)
    images, _ = local_runtime.striped_images(5)
    monkeypatch.chdir(made.path.parent)
    names = {"images": images}
    exec(context.device.usage(made).lines, names)
    np.testing.assert_allclose(names["logits"], context.device.predict(made, images), atol=1e-5)


def test_a_file_that_would_compute_in_float_is_refused_with_its_layers(context, tmp_path):
    network = nn.Sequential(nn.Softmax(-1), nn.Flatten())
    made = context.device.compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "soft")
    with pytest.raises(errors.CompressionError, match="stayed in float"):
        ModelQuantization(schemes=EVERY).transform(
            made, {"scheme": "int8_dynamic"}, replace(context, network=network)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["soft.tflite"]


def test_a_file_that_is_quantized_already_is_refused(context, artifact):
    with pytest.raises(errors.CompressionError, match=r"net\.tflite is int8 already"):
        ModelQuantization().transform(replace(artifact, label="int8"), {"scheme": "int8"}, context)
