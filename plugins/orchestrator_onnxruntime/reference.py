"""The reference network as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orchestrator import REFERENCE_IMAGE, reference_weights, write_whole

if TYPE_CHECKING:
    import onnx

__all__ = ["write_reference"]


def write_reference(path: Path) -> None:
    """Write the network to `path` unless it is there; the file appears whole or not at all.

    (B, 3, 64, 64) → (B, 10); see `orchestrator.reference_weights`.
    """
    if not path.exists():
        write_whole(path, _model().SerializeToString())


def _model() -> onnx.ModelProto:
    from onnx import TensorProto, helper

    nodes, weights, flow = _body()
    classes = weights[-1].dims[0]
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("GlobalAveragePool", [flow], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
            helper.make_node("Gemm", ["features", "classifier", "bias"], ["logits"]),
        ],
        "orchestrator_reference",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *REFERENCE_IMAGE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        weights,
    )
    # Old enough for every ONNX Runtime that this package takes.
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def _body() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    """Nodes, weights and the name of the last output."""
    from onnx import helper, numpy_helper

    made = reference_weights()
    nodes, weights, flow = [], [], "image"
    for number, (values, stride) in enumerate(made.convolutions):
        kernel, convolved, activated = f"kernel{number}", f"convolved{number}", f"activated{number}"
        weights.append(numpy_helper.from_array(values, kernel))
        nodes += [
            helper.make_node(
                "Conv", [flow, kernel], [convolved], pads=[1, 1, 1, 1], strides=[stride, stride]
            ),
            helper.make_node("Relu", [convolved], [activated]),
        ]
        flow = activated
    bias = np.zeros(made.classifier.shape[1], np.float32)
    weights.append(numpy_helper.from_array(made.classifier, "classifier"))
    weights.append(numpy_helper.from_array(bias, "bias"))
    return nodes, weights, flow
