from __future__ import annotations

import logging
from dataclasses import replace

import local_runtime
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from orchestrator_onnxruntime.calibration import calibrated
from orchestrator_onnxruntime.quantization import Quantization

from orchestrator import Artifact, CompressionContext, errors
from orchestrator.plugins import installed
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial

INT8 = {"scheme": "int8"}


@pytest.fixture(scope="module")
def network():
    return local_runtime.trained()


@pytest.fixture(scope="module", params=[False, True], ids=["opset18", "opset20"])
def artifact(request, network, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    device = local_runtime.LocalRuntime()
    return device.compile(network, torch.zeros(1, 1, 8, 8), path, final=request.param)


@pytest.fixture
def context() -> CompressionContext:
    images, _ = local_runtime.striped_images(160)
    device = local_runtime.LocalRuntime()
    return CompressionContext(None, device, images, seed=0, retrain=lambda network, share: None)


def test_it_fulfils_the_contract(artifact, context):
    check_compressor(Quantization(), context, build=local_runtime.Striped, artifact=artifact)


def test_it_stays_accurate_on_new_images_at_any_batch_size(artifact, context):
    images, labels = local_runtime.striped_images(200, seed=99)
    quantized = Quantization().transform(artifact, INT8, context)
    for batch in (1, 7, 200):
        logits = context.device.predict(quantized, images[:batch])
        assert logits.shape == (batch, 4)
    assert (logits.argmax(1) == labels).mean() >= 0.95


def test_convolutions_really_run_in_integers(artifact, context, tmp_path):
    quantized = Quantization().transform(artifact, INT8, context)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "as_run.onnx")
    onnxruntime.InferenceSession(str(quantized.path), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "as_run.onnx").graph.node]
    assert operators.count("QLinearConv") == 4
    assert "Conv" not in operators


def test_names_of_inputs_and_outputs_stay_and_others_are_short(artifact, context):
    quantized = Quantization().transform(artifact, INT8, context)
    graph = onnx.load(quantized.path).graph
    assert [value.name for value in (*graph.input, *graph.output)] == ["images", "logits"]
    onnx.checker.check_model(str(quantized.path), full_check=True)
    assert max(len(initializer.name) for initializer in graph.initializer) <= 4


def test_the_file_is_named_for_what_was_done_and_nothing_else_is_left(artifact, context):
    quantized = Quantization().transform(artifact, INT8, context)
    assert quantized == Artifact(artifact.path.parent / "model.int8.onnx", "onnx", "int8")
    assert {path.name for path in artifact.path.parent.iterdir()} == {
        "model.onnx",
        "model.int8.onnx",
    }


def test_the_same_seed_gives_the_same_file(artifact, context):
    quantized = Quantization().transform(artifact, INT8, context)
    first = quantized.path.read_bytes()
    assert Quantization().transform(artifact, INT8, context).path.read_bytes() == first


def test_a_preview_calibrates_on_eight_images(artifact, context, monkeypatch):
    seen = []

    def counted(model, images, method):
        seen.append(len(images))
        return calibrated(model, images, method)

    monkeypatch.setattr("orchestrator_onnxruntime.quantization.calibrated", counted)
    Quantization().transform(artifact, INT8, replace(context, preview=True))
    Quantization().transform(artifact, INT8, context)
    assert seen == [8, 100]


def test_a_fixed_batch_is_calibrated_one_by_one(artifact, context, tmp_path):
    model = onnx.load(artifact.path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "one.onnx")
    fixed = Artifact(tmp_path / "one.onnx", "onnx")
    assert Quantization().transform(fixed, INT8, context).path.name == "one.int8.onnx"


def test_it_is_quiet(artifact, context, capfd, caplog):
    before = list(logging.getLogger().handlers)
    Quantization().transform(artifact, INT8, context)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == before


def test_a_file_that_is_no_model_is_a_candidates_error(context, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(errors.CompressionError, match=r"model\.onnx cannot be quantized"):
        Quantization().transform(Artifact(tmp_path / "model.onnx", "onnx"), INT8, context)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_without_calibration_images_it_refuses(artifact, context):
    empty = replace(context, calibration=np.empty((0, 1, 8, 8), np.float32))
    with pytest.raises(errors.CompressionError, match="needs calibration images"):
        Quantization().transform(artifact, INT8, empty)


def test_no_quantization_is_no_choice():
    assert Quantization().suggest(FixedTrial({"quantization.scheme": "none"})) == {}


def test_its_offer_creates_it():
    options = {"schemes": ["int8"], "calibration_images": 20}
    quantization = installed().create("compressor", "quantization", options)
    assert (quantization.schemes, quantization.requires) == (("int8",), {"onnx"})


@pytest.mark.parametrize("options", [{"schemes": ("int4",)}, {"calibration_images": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(errors.ConfigError, match=next(iter(options))):
        Quantization(**options)
