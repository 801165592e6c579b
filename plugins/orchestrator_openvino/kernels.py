"""What OpenVINO executes for a file on this machine's processor, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orchestrator import Kernel
from orchestrator_openvino.loader import DEVICE, core, for_one_image, openvino, settings

__all__ = ["executed", "products"]

_ROUNDS = 20
# The end of a kernel's name → what it computes in. I8 is its word for unsigned.
_PRECISIONS = {
    "I8": "uint8", "i8": "int8", "u8": "uint8", "f32": "float32", "f16": "float16",
    "bf16": "bfloat16",
}  # fmt: skip
# Elementwise ones take and give whole numbers, and compute in float between.
_FLOAT_INSIDE = frozenset({"Eltwise", "FakeQuantize", "Subgraph"})
# What has weights, or multiplies what has been computed: where the time goes.
_PRODUCTS = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})


def executed(path: str, options: Mapping[str, Any], *, rounds: int = _ROUNDS) -> list[Kernel]:
    """The kernels in the order in which they run, with their share of the time.

    The precision is the one in the kernel's own name ("brgconv_avx512_I8"): OpenVINO's
    "runtimePrecision" is of what goes in, and says "u8" of a float product whose weights are stored
    in 8 bits. What is computed while loading, or not at all, is left out, and so are kernels whose
    whole numbers are shapes. Raises what OpenVINO raises.
    """
    told = {**settings(dict(options)), "PERF_COUNT": True}
    compiled = core().compile_model(for_one_image(path), DEVICE, told)
    times = _times(compiled, rounds)
    whole = sum(times.values()) or 1.0
    found = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        operator, name = _said(node, "layerType"), node.get_friendly_name()
        precision = _PRECISIONS.get(_said(node, "primitiveType").rpartition("_")[2])
        if name in times and precision is not None:
            if operator in _FLOAT_INSIDE and precision.endswith("int8"):
                precision = "float32"
            layer = _said(node, "originalLayersNames") or name
            found.append(Kernel(layer, operator, precision, times[name] / whole))
    return found


def products(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Those of layers with weights."""
    return [kernel for kernel in kernels if kernel.operator in _PRODUCTS]


def _times(compiled: Any, rounds: int) -> dict[str, float]:
    """What is executed, and the least microseconds that it took."""
    request = compiled.create_infer_request()
    image = np.zeros(tuple(compiled.inputs[0].shape), np.float32)
    least: dict[str, float] = {}
    for _ in range(rounds):
        request.infer([image])
        for entry in request.profiling_info:
            if entry.status == openvino.ProfilingInfo.Status.EXECUTED:
                taken = entry.real_time.total_seconds() * 1e6
                least[entry.node_name] = min(taken, least.get(entry.node_name, taken))
    return least


def _said(node: Any, key: str) -> str:
    facts = node.get_rt_info()
    return str(facts[key].astype(str)) if key in facts else ""
