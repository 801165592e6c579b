"""The network that others' latency is compared with: fixed for ever, 48 M multiply-adds."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["write_reference"]

_IMAGE = (3, 64, 64)
_CLASSES = 10
# (inputs, outputs, stride) of 3×3 convolutions, each with a ReLU.
_CONVOLUTIONS = (
    (3, 32, 2),
    (32, 64, 2),
    *[(64, 64, 1)] * 3,
    (64, 128, 2),
    (128, 128, 1),
)


def write_reference(path: Path) -> None:
    """Write the network to `path` unless it is there; the file appears whole or not at all.

    (B, 3, 64, 64) → (B, 10), weights of a fixed seed, about half a millisecond on one core of a
    server. Changing it makes all latencies of earlier runs incomparable.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".reference-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_model().SerializeToString())
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _model() -> onnx.ModelProto:
    from onnx import TensorProto, helper

    nodes, weights, flow = _body()
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("GlobalAveragePool", [flow], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
            helper.make_node("Gemm", ["features", "classifier", "bias"], ["logits"]),
        ],
        "orchestrator_reference",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *_IMAGE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", _CLASSES])],
        weights,
    )
    # Old enough for every ONNX Runtime that this package takes.
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def _body() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    """Nodes, weights and the name of the last output."""
    from onnx import helper, numpy_helper

    random = np.random.default_rng(20_240_101)
    nodes, weights, flow = [], [], "image"
    for number, (inputs, outputs, stride) in enumerate(_CONVOLUTIONS):
        kernel, convolved, activated = f"kernel{number}", f"convolved{number}", f"activated{number}"
        values = _normal(random, (outputs, inputs, 3, 3), inputs * 9)
        weights.append(numpy_helper.from_array(values, kernel))
        nodes += [
            helper.make_node(
                "Conv", [flow, kernel], [convolved], pads=[1, 1, 1, 1], strides=[stride, stride]
            ),
            helper.make_node("Relu", [convolved], [activated]),
        ]
        flow = activated
    features = _CONVOLUTIONS[-1][1]
    classifier = _normal(random, (features, _CLASSES), features)
    weights.append(numpy_helper.from_array(classifier, "classifier"))
    weights.append(numpy_helper.from_array(np.zeros(_CLASSES, np.float32), "bias"))
    return nodes, weights, flow


def _normal(random: np.random.Generator, shape: tuple[int, ...], inputs: int) -> np.ndarray:
    return (random.standard_normal(shape) * math.sqrt(2 / inputs)).astype(np.float32)
