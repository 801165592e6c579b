"""Layers that harm most for their time stay in float."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from orchestrator_onnxruntime import mixed_precision
from orchestrator_onnxruntime.mixed_precision import Allowance, choose_wide
from orchestrator_onnxruntime.quantization import Quantization
from orchestrator_onnxruntime.runtime import OnnxRuntime
from torch import nn

from orchestrator import Artifact, CompressionContext, errors

MIXED = {"scheme": "int8_mixed"}
IMAGES = np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> Artifact:
    """Five convolutions; answers of the third are so far apart that 8 bits tell them badly."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3)]
    for _ in range(4):
        layers += [nn.ReLU(), nn.Conv2d(8, 8, 1)]
    network = nn.Sequential(*layers, nn.Flatten())
    with torch.no_grad():
        network[4].weight[0, 0] = 40.0
        network[6].weight[:, 0] = 0.0
    path = tmp_path_factory.mktemp("model") / "model"
    return OnnxRuntime().compile(network, torch.zeros(1, 1, 8, 8), path)


@pytest.fixture(autouse=True)
def equal_shares(monkeypatch) -> None:
    """A profile's times differ from run to run."""
    shares = {f"n{index:x}_": 0.1 for index in range(20)}
    monkeypatch.setattr(mixed_precision, "_shares", lambda model, graph: shares)


@pytest.fixture
def context() -> CompressionContext:
    return CompressionContext(None, OnnxRuntime(), IMAGES, seed=0, retrain=lambda *_: None)


def mixed(artifact: Artifact, context: CompressionContext, **options) -> Artifact:
    quantization = Quantization(schemes=("none", "int8_mixed"), **options)
    return quantization.transform(artifact, MIXED, context)


def test_layers_that_harm_stay_in_float_and_the_bundle_is_told(artifact, context):
    made = mixed(artifact, context)
    told = context.ranges["quantization.wide"]
    assert told["layers"] == ["layer 3: Conv 8×8×1×1", "layer 4: Conv 8×8×1×1"]
    assert told["noise"] < told["noise_before"] / 2
    runs = [k.precision for k in OnnxRuntime().kernels(made) if "Conv" in k.operator]
    assert (runs.count("float32"), runs.count("int8")) == (2, 3)


def test_the_number_of_trials_is_kept(artifact, context):
    mixed(artifact, context, evaluations=3)
    assert context.ranges["quantization.wide"]["evaluations"] <= 3


def test_no_more_of_the_time_stays_wide_than_is_allowed(artifact, context):
    mixed(artifact, context, wide_share=0.1)
    told = context.ranges["quantization.wide"]
    assert (told["layers"], told["share"]) == ([], 0)


def test_equal_seeds_give_equal_files(artifact, context):
    first = mixed(artifact, context).path.read_bytes()
    assert mixed(artifact, context).path.read_bytes() == first


def test_a_preview_of_random_weights_tries_nothing(artifact, context):
    preview = replace(context, preview=True)
    mixed(artifact, preview)
    assert not preview.ranges


def wide_layers(artifact: Artifact) -> int:
    """How many convolutions of a file are computed in float."""
    runs = [k.precision for k in OnnxRuntime().kernels(artifact) if "Conv" in k.operator]
    return runs.count("float32")


@pytest.mark.parametrize(("needed", "kept"), [(0, 0), (2, 2)])
def test_with_a_drop_as_few_layers_stay_in_float_as_keep_to_it(needed, kept, artifact, context):
    def judge(file: Artifact) -> float:
        return 0.9 if wide_layers(file) >= needed else 0.8

    guarded = replace(context, judge=judge, ranges={})
    made = mixed(artifact, guarded, max_drop=0.01, wide_share=0.001)
    assert wide_layers(made) == kept
    assert len(guarded.ranges["quantization.wide"]["layers"]) == kept


def test_a_drop_that_nothing_keeps_to_is_told(artifact, context):
    """The float file is judged first, and is alone in what it reaches."""
    guarded = replace(context, judge=lambda file: 0.9 if file is artifact else 0.1)
    with pytest.raises(errors.CompressionError, match=r"reaches less than 0\.89"):
        mixed(artifact, guarded, max_drop=0.01)


def test_a_drop_without_the_scheme_that_keeps_to_it_is_refused():
    with pytest.raises(errors.ConfigError, match="max_drop"):
        Quantization(max_drop=0.01)


def test_layers_that_do_not_harm_are_not_kept(artifact, tmp_path):
    def write(wide: object, path: Path) -> None:
        path.write_bytes(artifact.path.read_bytes())

    found = choose_wide(artifact.path, IMAGES, write, Allowance())
    assert (found.nodes, found.noise, found.agreement) == ([], 0.0, 1.0)
