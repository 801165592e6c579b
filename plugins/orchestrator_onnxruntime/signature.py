"""What decides how fast an ONNX file is: its graph, shapes and types, not its weights' values."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

__all__ = ["signature"]

# Their weights are learnt, even where there is but one, and decide nothing; so do ranges.
_LEARNT = frozenset(
    {
        "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "InstanceNormalization",
        "LayerNormalization", "MatMul", "PRelu", "QuantizeLinear", "DequantizeLinear",
    }
)  # fmt: skip


def signature(path: Path) -> str:
    """A hash that is the same for networks that differ in the values of their weights only.

    Names do not count, nor does it matter whether equal weights are stored once or twice. Whole
    numbers of 64 bits count, as they are shapes and axes, and so do single numbers, from which
    runtimes see what may be fused (a clip at 6, a division by the root of 2).
    """
    import onnx

    model = onnx.load(str(path))
    digest = hashlib.sha256()
    for opset in sorted(f"{opset.domain}:{opset.version}" for opset in model.opset_import):
        digest.update(opset.encode())
    for word in _graph(model.graph):
        digest.update(word.encode() + b"\n")
    return digest.hexdigest()


def _graph(graph: Any) -> list[str]:
    """A line for each input, node and output, in an order that the file's own does not change.

    A value is called by what it is computed from, so that names and places do not count.
    """
    known = {weight.name: weight for weight in graph.initializer}
    names: dict[str, str] = {"": "-"}
    constant, told = set(known), []
    for number, value in enumerate(graph.input):
        names[value.name] = f"input{number}"
        told.append(f"input{number} {value.type.SerializeToString(deterministic=True).hex()}")
    for node in graph.node:
        # How exporters store equal weights once, as those of an untrained network often are.
        if node.op_type == "Identity" and node.input[0] in known:
            known[node.output[0]] = known[node.input[0]]
            constant.add(node.output[0])
            continue
        line = _node(node, known, names)
        # What weights alone decide is told where it is used: it is computed once, while loading.
        if node.input and constant.issuperset(filter(None, node.input)):
            constant.update(node.output)
        else:
            told.append(line)
        called = hashlib.sha256(line.encode()).hexdigest()[:16]
        names |= {name: f"{called}.{place}" for place, name in enumerate(node.output) if name}
    outputs = " ".join(names.get(value.name, value.name) for value in graph.output)
    return [*sorted(told), outputs]


def _node(node: Any, known: dict[str, Any], names: dict[str, str]) -> str:
    learnt = node.op_type in _LEARNT
    inputs = [
        _weight(known[name], plain=not learnt) if name in known else names.get(name, name)
        for name in node.input
    ]
    attributes = [_attribute(item) for item in sorted(node.attribute, key=lambda a: a.name)]
    return " ".join([node.domain, node.op_type, *inputs, *attributes])


def _weight(weight: Any, *, plain: bool) -> str:
    from onnx import TensorProto, numpy_helper

    text = f"{weight.data_type}{list(weight.dims)}"
    single = plain and all(size == 1 for size in weight.dims)
    if weight.data_type == TensorProto.INT64 or single:
        text += str(numpy_helper.to_array(weight).tolist())
    return text


def _attribute(item: Any) -> str:
    """Its name and value; of a graph what counts in it."""
    from onnx import AttributeProto, helper

    if item.type == AttributeProto.TENSOR:
        return f"{item.name}={_weight(item.t, plain=True)}"
    if item.type == AttributeProto.GRAPH:
        return f"{item.name}={{{' '.join(_graph(item.g))}}}"
    return f"{item.name}={helper.get_attribute_value(item)!r}"
