"""The arithmetic on shapes in an ONNX file, done once: TorchScript leaves it to every inference.

With an open batch the exporter writes each reshape as a chain of Shape, Slice and Concat, of which
only the batch is not known beforehand. The file is run with two batches: what is the same number
in both becomes a constant, and the length of a reshape that is not becomes -1, which a runtime
finds by itself. Only numbers that follow from shapes are looked at, never what follows from images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["fold_shapes"]

_BATCHES = (2, 3)
# Operations that make whole numbers of whole numbers; what they make of shapes follows from shapes.
_ARITHMETIC = frozenset(
    [
        *("Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand"),
        *("Gather", "Identity", "Mod", "Mul", "Neg", "Range", "Reshape", "Slice", "Squeeze"),
        *("Sub", "Unsqueeze", "Where"),
    ]
)


def fold_shapes(model: Any) -> None:
    """Leave the same function with less to do in `model`, an onnx.ModelProto with one image input.

    Raises what ONNX Runtime raises for a file that it cannot run.
    """
    graph = model.graph
    of_shapes = _following_from_shapes(graph)
    wanted = [
        (node, place)
        for node in graph.node
        for place, name in enumerate(node.input)
        if name in of_shapes and node.output[0] not in of_shapes
    ]
    reshapes = {node.output[0] for node, place in wanted if node.op_type == "Reshape"}
    names = {node.input[place] for node, place in wanted} | reshapes
    if not names:
        return
    two, three = (_run(model, sorted(names), batch) for batch in _BATCHES)
    for node, place in wanted:
        found = _constant(node, place, two, three)
        if found is not None:
            node.input[place] = _stored(graph, found)
    _remove_unused(graph)


def _following_from_shapes(graph: Any) -> set[str]:
    """Tensors that are made of shapes and stored whole numbers by arithmetic alone."""
    from onnx import TensorProto

    stored = {w.name for w in graph.initializer if w.data_type == TensorProto.INT64}
    found: set[str] = set()
    for node in graph.node:
        inputs = [name for name in node.input if name]
        plain = node.op_type in _ARITHMETIC and all(i in found or i in stored for i in inputs)
        whole = node.op_type != "Constant" or _is_whole(node)
        if node.op_type == "Shape" or (plain and whole):
            found.update(node.output)
    return found


def _is_whole(node: Any) -> bool:
    from onnx import TensorProto

    return any(item.t.data_type == TensorProto.INT64 for item in node.attribute)


def _run(model: Any, names: list[str], batch: int) -> dict[str, np.ndarray]:
    """The values of tensors for a batch of zeros."""
    import onnx
    import onnxruntime

    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    known = {value.name for value in asked.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        asked.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (image,) = session.get_inputs()
    feed = {image.name: np.zeros((batch, *image.shape[1:]), np.float32)}
    return dict(zip(names, session.run(names, feed), strict=True))


def _constant(
    node: Any, place: int, two: Mapping[str, np.ndarray], three: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """What takes the place of a node's input; None where it depends on the batch."""
    name = node.input[place]
    if node.op_type != "Reshape" or place != 1:
        same = two[name].dtype == np.int64 and np.array_equal(two[name], three[name])
        return two[name] if same else None
    first, second = two[node.output[0]].shape, three[node.output[0]].shape
    lengths = [a if a == b else -1 for a, b in zip(first, second, strict=True)]
    if lengths.count(-1) > 1 or 0 in lengths:
        return None
    return np.array(lengths, np.int64)


def _stored(graph: Any, value: np.ndarray) -> str:
    """The name of a constant, which is written where there is none like it."""
    from onnx import numpy_helper

    name = "_".join(["folded", str(value.ndim), *map(str, value.ravel().tolist())])
    if all(weight.name != name for weight in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _remove_unused(graph: Any) -> None:
    """Drop nodes and weights that nothing needs any more; an inner graph needs what it names."""
    wanted = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in wanted for name in node.output):
            kept.append(node)
            wanted.update(node.input)
            for attribute in node.attribute:
                wanted.update(name for inner in attribute.g.node for name in inner.input)
    kept.reverse()
    del graph.node[:]
    graph.node.extend(kept)
    weights = [weight for weight in graph.initializer if weight.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)
