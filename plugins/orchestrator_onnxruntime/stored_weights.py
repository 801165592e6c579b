"""Weights stored in few bits and unfolded while the file is loaded: small files, float arithmetic.

Each weight is a whole number and each output channel has a scale. In the file a Cast and a Mul (or
a Gather, from a table) make real numbers of them; as their inputs are constants, ONNX Runtime
computes them once, while loading, so that the network then runs as its float file does. A
DequantizeLinear would not do: ONNX Runtime keeps it, and a convolution has no kernel that takes
weights of 8 or 4 bits and real activations. Only matrix products have one (MatMulNBits), which a
convolutional network has hardly any of.

`powers`: a sign and one of eight powers of two, from the channel's largest weight down, or 0
(Miyashita et al. 2016, arXiv:1603.01025): multiplying becomes shifting where hardware can. ONNX
Runtime cannot, so it only makes the file smaller, because the exponents are packed, two in a byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Storage", "store_weights"]

Storage = Literal["int8", "int4", "powers"]

# Operator → the axis of its weights that counts outputs; Gemm's when they are transposed.
_OUTPUTS = {"Conv": 0, "Gemm": 0, "MatMul": -1}
# Of 16 codes: 0, then 2^0 to 2^-7 and their negatives, of which the smallest negative is left out.
_POWERS = np.array([0.0, *(2.0**-k for k in range(8)), *(-(2.0**-k) for k in range(7))], np.float32)
_TABLE = "powers_"
# ONNX has 4-bit numbers from this version of its operators on.
_OPSET = 21
# Smaller ones gain nothing: nodes and scales take room too.
_LEAST_WEIGHTS = 64


@dataclass(frozen=True)
class _Stored:
    """Codes of a tensor's shape, a scale for each output channel, and the type they are kept in."""

    codes: np.ndarray
    scales: np.ndarray
    kind: int


def store_weights(source: Path, target: Path, storage: Storage) -> int:
    """Write `source` to `target` with its weights stored so; returns how many tensors were.

    Biases and tensors of fewer than 64 numbers stay.
    """
    model = onnx.load(str(source))
    if storage != "int8":
        model = _raised(model)
    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    axes = _axes(graph, weights)
    made: list[Any] = []
    for name, axis in axes.items():
        stored = _stored(numpy_helper.to_array(weights[name]), axis, storage)
        graph.initializer.remove(weights[name])
        made += _unfolding(graph, name, stored)
    if storage == "powers":
        graph.initializer.append(numpy_helper.from_array(_POWERS, _TABLE))
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(target))
    return len(axes)


def _axes(graph: Any, weights: dict[str, Any]) -> dict[str, int]:
    """Weights that are stored otherwise, by name, and their axis of outputs."""
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type not in _OUTPUTS:
            continue
        # A product's weights may come first; a Gemm's and a convolution's come second.
        for name in node.input[:2] if node.op_type == "MatMul" else node.input[1:2]:
            weight = weights.get(name)
            if weight is not None and np.prod(weight.dims) >= _LEAST_WEIGHTS:
                transposed = any(a.name == "transB" and a.i for a in node.attribute)
                plain = node.op_type == "Gemm" and not transposed
                found[name] = -1 if plain else _OUTPUTS[node.op_type]
    return found


def _stored(weight: np.ndarray, axis: int, storage: Storage) -> _Stored:
    others = tuple(a for a in range(weight.ndim) if a != axis % weight.ndim)
    largest = np.abs(weight).max(axis=others, keepdims=True)
    largest = np.where(largest > 0, largest, 1).astype(np.float32)
    if storage == "powers":
        return _Stored(_power_codes(weight / largest), largest, TensorProto.UINT4)
    most = 127 if storage == "int8" else 7
    codes = np.clip(np.rint(weight / largest * most), -most, most)
    kind = TensorProto.INT8 if storage == "int8" else TensorProto.INT4
    return _Stored(codes, largest / np.float32(most), kind)


def _power_codes(relative: np.ndarray) -> np.ndarray:
    """The place in the table of the nearest value to each number in [-1, 1]."""
    order = np.argsort(_POWERS)
    levels = _POWERS[order]
    between = (levels[1:] + levels[:-1]) / 2
    return order[np.searchsorted(between, relative)]


def _unfolding(graph: Any, name: str, stored: _Stored) -> list[Any]:
    """Nodes that make the tensor `name`; what they need is added to the graph's constants."""
    codes, scales = f"{name}c", f"{name}s"
    packed = _packed(stored.codes.astype(np.int8), halves=stored.kind != TensorProto.INT8)
    graph.initializer.append(
        helper.make_tensor(codes, stored.kind, stored.codes.shape, packed, raw=True)
    )
    graph.initializer.append(numpy_helper.from_array(stored.scales, scales))
    if stored.kind != TensorProto.UINT4:
        cast = helper.make_node("Cast", [codes], [f"{name}f"], to=TensorProto.FLOAT)
        return [cast, helper.make_node("Mul", [f"{name}f", scales], [name])]
    return [
        helper.make_node("Cast", [codes], [f"{name}i"], to=TensorProto.INT32),
        helper.make_node("Gather", [_TABLE, f"{name}i"], [f"{name}f"]),
        helper.make_node("Mul", [f"{name}f", scales], [name]),
    ]


def _packed(codes: np.ndarray, *, halves: bool) -> bytes:
    """One code a byte, or two with the first in the lower half."""
    flat = codes.ravel().view(np.uint8)
    if not halves:
        return bytes(flat)
    even = np.pad(flat & 15, (0, len(flat) % 2))
    return bytes(even[::2] | even[1::2] << 4)


def _raised(model: Any) -> Any:
    """The same model in a version of the operators that has 4-bit numbers."""
    from onnx import version_converter

    if max(opset.version for opset in model.opset_import if not opset.domain) >= _OPSET:
        return model
    return version_converter.convert_version(model, _OPSET)
