from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import local_runtime
import numpy as np
import pytest
import torch

pytest.importorskip("nncf")

import nncf
from orchestrator_openvino.quantization import OpenVinoQuantization
from orchestrator_openvino.runtime import OpenVino

from orchestrator import Artifact, CompressionContext, errors
from orchestrator.testing.compressor import check_compressor
from orchestrator.trials import FixedTrial

ALL = ("none", "int8", "weights8")
INT8, STORED = {"scheme": "int8"}, {"scheme": "weights8"}


@pytest.fixture(scope="module")
def context() -> CompressionContext:
    images, _ = local_runtime.striped_images(160)
    return CompressionContext(None, OpenVino(), images, seed=0)


@pytest.fixture(scope="module")
def artifact(context: CompressionContext, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("model") / "model"
    return context.device.compile(local_runtime.trained(), torch.zeros(1, 1, 8, 8), path)


@pytest.fixture(scope="module")
def quantized(artifact: Artifact, context: CompressionContext) -> Artifact:
    return OpenVinoQuantization().transform(artifact, INT8, context)


def test_openvino_quantization_fulfils_the_contract(artifact, context):
    compressor = OpenVinoQuantization(schemes=ALL)
    check_compressor(compressor, context, build=local_runtime.Striped, artifact=artifact)


def test_int8_stays_accurate_in_openvino_at_any_batch_size(quantized, context):
    images, labels = local_runtime.striped_images(200, seed=99)
    assert len(context.device.predict(quantized, images[:7])) == 7
    assert (context.device.predict(quantized, images).argmax(1) == labels).mean() >= 0.95


def test_every_convolution_runs_in_integers(quantized, context):
    kernels = context.device.kernels(quantized)
    convolutions = [kernel for kernel in kernels if kernel.operator == "Convolution"]
    assert len(convolutions) == 4 and all(kernel.integer for kernel in convolutions)
    assert {file.name for file in quantized.files} == {"model.int8.xml", "model.int8.bin"}
    assert quantized.label == "int8" and not quantized.exact


def test_weights_stored_in_8_bits_are_computed_as_floats(artifact, context):
    stored = OpenVinoQuantization(schemes=ALL).transform(artifact, STORED, context)
    assert not any(kernel.integer for kernel in context.device.kernels(stored))
    assert stored.label == "weights8"


def test_an_int8_file_without_an_integer_kernel_is_refused(context, tmp_path, monkeypatch):
    def pretend(model, *_, **__):
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)

    monkeypatch.setattr(nncf, "quantize", pretend)
    network, example = local_runtime.Striped(), torch.zeros(1, 1, 8, 8)
    artifact = context.device.compile(network, example, tmp_path / "model")
    with pytest.raises(errors.CompressionError, match=r"by name only.*is float32"):
        OpenVinoQuantization().transform(artifact, INT8, context)
    assert set(tmp_path.iterdir()) == set(artifact.files)


def test_a_preview_is_cheap_and_of_the_same_structure(artifact, context, quantized, monkeypatch):
    seen: list[int] = []
    made = nncf.quantize

    def counted(model, dataset, **options):
        seen.append(len(list(dataset.get_data())))
        return made(model, dataset, **options)

    signature = context.device.signature(quantized)
    monkeypatch.setattr(nncf, "quantize", counted)
    preview = OpenVinoQuantization().transform(artifact, INT8, replace(context, preview=True))
    assert seen == [4] and context.device.signature(preview) == signature


def test_the_same_seed_gives_the_same_files(artifact, context):
    first, second = (
        [file.read_bytes() for file in OpenVinoQuantization().transform(*asked).files]
        for asked in [(artifact, INT8, context)] * 2
    )
    assert first == second


def test_nncf_is_quiet_and_leaves_logging_as_it_was(artifact, context, capfd):
    before = logging.getLoggerClass()
    OpenVinoQuantization().transform(artifact, INT8, replace(context, preview=True))
    assert capfd.readouterr() == ("", "") and logging.getLoggerClass() is before


def test_what_cannot_be_quantized_is_a_candidates_error(artifact, context, tmp_path: Path):
    (tmp_path / "model.xml").write_text("no model")
    broken = Artifact(tmp_path / "model.xml", "openvino")
    with pytest.raises(errors.CompressionError, match=r"model\.xml cannot be quantized as int8"):
        OpenVinoQuantization().transform(broken, INT8, context)
    empty = replace(context, calibration=np.empty((0, 1, 8, 8), np.float32))
    with pytest.raises(errors.CompressionError, match="needs calibration images"):
        OpenVinoQuantization().transform(artifact, INT8, empty)


def test_none_is_no_choice_and_impossible_options_are_refused():
    assert (
        OpenVinoQuantization().suggest(FixedTrial({"openvino_quantization.scheme": "none"})) == {}
    )
    with pytest.raises(errors.ConfigError, match=r"schemes: found \['int4'\]"):
        OpenVinoQuantization(schemes=("int4",))
    with pytest.raises(errors.ConfigError, match="calibration_images: found 0"):
        OpenVinoQuantization(calibration_images=0)


def test_a_drop_that_int8_keeps_to_leaves_no_layer_in_float(artifact, context):
    mixed = OpenVinoQuantization(schemes=("none", "int8_mixed"), max_drop=0.5)
    judged = replace(context, judge=lambda file: 1.0, ranges={}, report={})
    made = mixed.transform(artifact, {"scheme": "int8_mixed"}, judged)
    assert judged.ranges == {"openvino_quantization.wide": []}
    assert made.path.name == "model.int8_mixed.xml"


@pytest.mark.slow
def test_layers_that_harm_most_stay_in_float_until_the_drop_is_kept(artifact, context):
    """A judge that minds the noise of answers, as accuracy on digits would not."""
    images, _ = local_runtime.striped_images(60)
    wanted = context.device.predict(artifact, images)

    def judge(file):
        return 1 - float(np.abs(context.device.predict(file, images) - wanted).mean())

    whole = judge(OpenVinoQuantization().transform(artifact, INT8, context))
    mixed = OpenVinoQuantization(schemes=("none", "int8_mixed"), max_drop=0.7 * (1 - whole))
    judged = replace(context, judge=judge, ranges={}, report={})
    made = mixed.transform(artifact, {"scheme": "int8_mixed"}, judged)
    assert judge(made) >= 1 - mixed.max_drop > whole
    stayed = judged.report["openvino_quantization.layers_in_float"]
    kernels = [
        k for k in context.device.kernels(made) if k.operator in ("Convolution", "FullyConnected")
    ]
    assert 0 < stayed < 5 and sum(kernel.integer for kernel in kernels) == 5 - stayed


def test_a_drop_and_the_scheme_that_keeps_to_it_go_together():
    with pytest.raises(errors.ConfigError, match=r"max_drop: found 0\.01 with schemes"):
        OpenVinoQuantization(max_drop=0.01)
    with pytest.raises(errors.ConfigError, match="max_drop: found None"):
        OpenVinoQuantization(schemes=("int8_mixed",))
