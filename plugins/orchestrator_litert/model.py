"""What a LiteRT model holds: its operators, the types that they compute in, and its form.

A .tflite is a flatbuffer; ai-edge-litert has the classes that read it. Each operator has kernels
for the types of its tensors and no others, so that types tell what is computed with integers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from orchestrator import Kernel

__all__ = ["HEAVY", "executed", "signature"]

# What costs the time of a network; the rest moves or scales what these compute.
HEAVY = frozenset(
    {"BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
)
_OPERATORS = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}
_TYPES = {n: name.lower() for name, n in vars(schema.TensorType).items() if isinstance(n, int)}
# They turn one into the other, which is float work.
_CONVERSIONS = frozenset({"DEQUANTIZE", "QUANTIZE"})
# In which constants are shapes, axes and the like, and decide how long something takes.
_WHOLE = frozenset({"int32", "int64"})
_FORMS = (int, float, str, bool, type(None))


def executed(path: Path) -> list[Kernel]:
    """The kernels in the order in which they run; shares of the time are not known.

    A layer is called by its place and the module of the network that its answer is of. Float
    activations and int8 weights are multiplied in int8, with ranges found while running. Raises
    ValueError for what is no model.
    """
    model = _read(path)
    graph = model.subgraphs[0]
    return [
        Kernel(
            f"{place} {_module(graph, operator)}".strip(), name, _precision(graph, operator, name)
        )
        for place, (operator, name) in enumerate(_named(model, graph))
        if any(_type(graph, index) not in _WHOLE for index in operator.outputs)
    ]


def signature(path: Path) -> str:
    """A hash that is the same for networks that differ in the values of their weights only."""
    model = _read(path)
    digest = hashlib.sha256(b"tflite")
    for graph in model.subgraphs:
        for operator, name in _named(model, graph):
            tensors = [
                _form(model, graph, index) for index in (*operator.inputs, *operator.outputs)
            ]
            told = [name, len(operator.inputs), tensors, _settings(operator.builtinOptions)]
            digest.update(json.dumps(told).encode())
    return digest.hexdigest()


def _read(path: Path) -> Any:
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError("it is no LiteRT model")
    try:
        return schema.ModelT.InitFromPackedBuf(content, 0)
    except Exception as error:
        raise ValueError(f"it is no LiteRT model: {error}") from error


def _named(model: Any, graph: Any) -> Iterator[tuple[Any, str]]:
    """Each operator and what LiteRT calls it. Early ones have their code in a smaller field."""
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        yield operator, _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _precision(graph: Any, operator: Any, name: str) -> str:
    given = [_type(graph, index) for index in operator.inputs if index >= 0]
    if name in _CONVERSIONS or not given:
        return "float32"
    if name in HEAVY and given[0] == "float32" and "int8" in given[1:2]:
        return "int8"
    return next((kind for kind in given if kind not in _WHOLE), given[0])


def _type(graph: Any, index: int) -> str:
    kind: str = _TYPES[graph.tensors[index].type]
    return kind


def _module(graph: Any, operator: Any) -> str:
    """The module that an operator's answer is of, such as "stages.0.conv"; empty if none is told.

    The converter tells the way to it, and those of what was fused with it behind semicolons:
    "package.Net/torch.nn.modules.container.Sequential_stages/…Conv2d_conv;;…".
    """
    told = str(graph.tensors[operator.outputs[0]].name, errors="replace").partition(";")[0]
    parts = (part.rpartition(".")[2].lstrip("_") for part in told.split("/")[1:])
    return ".".join(part.partition("_")[2] for part in parts)


def _form(model: Any, graph: Any, index: int) -> Any:
    """A tensor's type and shape, and its values where those are shapes or a single number."""
    if index < 0:
        return None
    tensor, kind = graph.tensors[index], _type(graph, index)
    shape = [] if tensor.shape is None else [int(side) for side in tensor.shape]
    data = model.buffers[tensor.buffer].data
    # An int32 bias is learnt, and has a scale.
    whole = kind in _WHOLE and not _scaled(tensor)
    counts = data is not None and (whole or (kind == "float32" and not shape))
    return [kind, shape, np.asarray(data, np.uint8).tobytes().hex() if counts else ""]


def _scaled(tensor: Any) -> bool:
    found = tensor.quantization
    return found is not None and found.scale is not None and len(found.scale) > 0


def _settings(options: Any) -> dict[str, Any]:
    found = vars(options) if options is not None else {}
    return {name: value for name, value in sorted(found.items()) if isinstance(value, _FORMS)}
