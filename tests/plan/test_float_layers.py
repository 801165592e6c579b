"""What a plan says of operators that int8 leaves in float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.candidate.factory import Factory
from orchestrator.cli.composing import compose
from orchestrator.contracts import Kernel
from orchestrator.measuring.gate import Gate
from orchestrator.plan.float_layers import Look, float_layers, told
from orchestrator.plan.survey import survey
from orchestrator.plugins import installed


def look(runtime: str, activation: str, *, swish: float) -> Look:
    """A file of two convolutions with h-swish between, which takes a share of the time."""
    rest = (1 - swish) / 2
    return Look(
        runtime,
        activation,
        [
            Kernel("one", "QLinearConv", "uint8", rest),
            Kernel("between", "HardSigmoid", "float32" if swish else "uint8", swish),
            Kernel("two", "QLinearConv", "uint8", rest),
        ],
    )


def test_what_stays_in_float_is_told_with_what_it_costs() -> None:
    (text,) = told([look("onnxruntime", "", swish=0.3)])
    assert "int8 in onnxruntime leaves layers in float" in text
    assert "1 × HardSigmoid: 30% of the time" in text


def test_the_activation_that_has_integer_kernels_is_told() -> None:
    looks = [
        look("onnxruntime", name, swish=s) for name, s in (("", 0.2), ("HS", 0.4), ("RE", 0.0))
    ]
    (text,) = told(looks)
    assert "HS 40%, RE 0%; the space's choice of RE pays here." in text


def test_a_runtime_that_computes_it_with_integers_is_told() -> None:
    (text,) = told([look("onnxruntime", "", swish=0.3), look("openvino", "", swish=0.0)])
    assert text.endswith("openvino computes all but a few of them with integers.")


def test_nothing_is_told_where_nothing_stays_in_float() -> None:
    assert told([look("onnxruntime", "", swish=0.01)]) == []


def test_activations_that_were_not_looked_at_are_told() -> None:
    (text,) = told([look("onnxruntime", "", swish=0.3)], skipped=2)
    assert text.endswith("For the time that takes, 2 activations had no look.")


def test_shares_are_of_layers_where_times_are_not_known() -> None:
    known = [Kernel("a", "Conv2d", "int8"), Kernel("b", "Sigmoid", "float32"),
             Kernel("c", "Conv2d", "int8"), Kernel("d", "Conv2d", "int8")]  # fmt: skip
    assert Look("executorch", "", known).share == 0.25


@pytest.mark.slow
def test_a_space_of_h_swish_is_told_so_for_onnx_runtime(tmp_path: Path) -> None:
    words = ["+search=mobilenetv3", "dataset=digits", "dataset.image_size=32"]
    config: Any = compose(
        [*words, "objective=[accuracy,macs,latency_ms]", "compressor=quantization"]
    )
    made = Factory(config, tmp_path, Gate(tmp_path / "gate"), installed())
    specimens = survey(made, [])
    text = " ".join(float_layers(made, tmp_path, specimens))
    assert "HardS" in text and "of the time" in text
