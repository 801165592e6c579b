"""Each way to store and compute in fewer bits does what it says."""

from __future__ import annotations

from typing import get_args

import local_runtime
import numpy as np
import onnx
import pytest
import torch
from orchestrator_onnxruntime.calibration import Method, calibrated
from orchestrator_onnxruntime.quantization import SCHEMES, Quantization, check_integers
from orchestrator_onnxruntime.runtime import OnnxRuntime
from orchestrator_onnxruntime.stored_weights import store_weights
from torch import nn

from orchestrator import Artifact, CompressionContext, errors
from orchestrator.testing.compressor import check_compressor


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    return OnnxRuntime().compile(local_runtime.trained(), torch.zeros(1, 1, 8, 8), path)


@pytest.fixture
def context() -> CompressionContext:
    images, _ = local_runtime.striped_images(60)
    return CompressionContext(None, OnnxRuntime(), images, seed=0, retrain=lambda *_: None)


def made(artifact: Artifact, scheme: str, context: CompressionContext, **options) -> Artifact:
    quantization = Quantization(schemes=("none", scheme), calibration_images=20, **options)
    return quantization.transform(artifact, {"scheme": scheme}, context)


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s not in ("none", "int8")])
def test_every_scheme_fulfils_the_contract(scheme, artifact, context):
    quantization = Quantization(schemes=("none", scheme), calibration_images=20, evaluations=4)
    check_compressor(quantization, context, build=local_runtime.Striped, artifact=artifact)


def test_a_file_is_named_for_its_scheme(artifact, context):
    found = made(artifact, "int8_entropy", context)
    assert (found.path.name, found.label) == ("model.int8_entropy.onnx", "int8_entropy")


def test_percentile_and_entropy_leave_out_what_is_rare(artifact):
    images = np.random.default_rng(0).normal(size=(400, 1, 8, 8)).astype(np.float32)
    images[-1, 0, 0, 0] = 20
    highest = {m: calibrated(artifact.path, images, m)["image"][1] for m in get_args(Method)}
    assert highest["minmax"] == 20
    assert 3 < highest["percentile"] < 5
    assert 3 < highest["entropy"] < 5


def test_a_scale_for_each_channel_is_closer_than_one_a_layer(tmp_path, context):
    network = local_runtime.trained()
    with torch.no_grad():
        network.head.weight[0] *= 50
    artifact = OnnxRuntime().compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "wild")
    found = [
        _error(artifact, made(artifact, "int8", context, per_channel=each), context)
        for each in (True, False)
    ]
    assert found[0] < found[1]


@pytest.mark.parametrize(("storage", "bits"), [("int8", 8), ("int4", 4), ("powers", 4)])
def test_stored_weights_take_their_bits_and_run_as_in_float(storage, bits, tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    artifact = OnnxRuntime().compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "it")
    assert store_weights(artifact.path, tmp_path / "stored.onnx", storage) == 2
    stored = onnx.load(tmp_path / "stored.onnx").graph.initializer
    assert sum(len(w.raw_data) for w in stored if w.name.endswith("c")) == 68 * 64 * bits // 8
    runs = [
        [k.operator for k in OnnxRuntime().kernels(Artifact(tmp_path / name, "onnx"))]
        for name in ("it.onnx", "stored.onnx")
    ]
    assert runs[0] == runs[1]


def test_powers_of_two_are_powers_of_two(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8, bias=False))
    weight = torch.full((8, 16), 0.3)
    weight[:, 0] = 1.0  # each channel's largest
    weight[:, 1] = -0.02
    weight[:, 2] = 0.0
    with torch.no_grad():
        network[1].weight.copy_(weight)
    artifact = OnnxRuntime().compile(network, torch.zeros(1, 1, 4, 4), tmp_path / "it")
    store_weights(artifact.path, tmp_path / "stored.onnx", "powers")
    ones = np.eye(16, dtype=np.float32).reshape(16, 1, 4, 4)
    found = OnnxRuntime().predict(Artifact(tmp_path / "stored.onnx", "onnx"), ones)[:, 0]
    assert found.tolist() == [1.0, -(2.0**-6), 0.0] + [0.25] * 13


def test_what_computes_no_layer_with_integers_is_refused_as_int8(tmp_path, context):
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Hardswish(), nn.Flatten())
    artifact = OnnxRuntime().compile(network, torch.zeros(1, 1, 8, 8), tmp_path / "it")
    with pytest.raises(errors.CompressionError, match=r"int8 by name only.*run as: Conv\)"):
        made(artifact, "int8_dynamic", context)
    assert [file.name for file in tmp_path.iterdir()] == ["it.onnx"]
    with pytest.raises(errors.CompressionError, match=r"it as int8 would be int8 by name only"):
        check_integers(artifact.path, "it", "int8")


def test_nothing_to_store_is_said(tmp_path, context):
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    artifact = OnnxRuntime().compile(network, torch.zeros(1, 1, 4, 4), tmp_path / "it")
    with pytest.raises(errors.CompressionError, match="no layer whose weights can be stored"):
        made(artifact, "weights8", context)


@pytest.mark.parametrize("options", [{"wide_share": 1.0}, {"evaluations": 0}])
def test_impossible_numbers_are_refused(options):
    with pytest.raises(errors.ConfigError, match=next(iter(options))):
        Quantization(**options)


def _error(wanted: Artifact, found: Artifact, context: CompressionContext) -> float:
    """The mean squared difference of all answers but the first."""
    answers = [context.device.predict(a, context.calibration)[:, 1:] for a in (wanted, found)]
    return float(np.square(answers[0] - answers[1]).mean())
