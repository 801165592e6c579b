"""What decides how fast an ONNX file is: its graph, shapes and types, not its weights' values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["signature"]

# Their second and third inputs are ranges, which do not decide how fast they are.
_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})


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


def _graph(graph: Any) -> Iterator[str]:
    known = {weight.name: weight for weight in graph.initializer}
    names: dict[str, str] = {"": "-"}
    for value in graph.input:
        names[value.name] = f"input{len(names)}"
        yield f"{names[value.name]} {value.type.SerializeToString(deterministic=True).hex()}"
    for node in graph.node:
        quantizer = node.op_type in _QUANTIZERS
        inputs = [
            _weight(known[name], plain=not quantizer) if name in known else names.get(name, name)
            for name in node.input
        ]
        attributes = [_attribute(item) for item in sorted(node.attribute, key=lambda a: a.name)]
        yield " ".join([node.domain, node.op_type, *inputs, *attributes])
        for name in node.output:
            names.setdefault(name, f"value{len(names)}")
    yield " ".join(names.get(value.name, value.name) for value in graph.output)


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
