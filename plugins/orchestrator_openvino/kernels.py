"""What OpenVINO executes for a file on this machine's processor, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from orchestrator import Kernel
from orchestrator_openvino.loader import DEVICE, for_one_image, openvino, settings

__all__ = ["executed"]

_ROUNDS = 20
# What costs no time in an inference: what goes in and out, and what is known beforehand.
_NOT_RUN = frozenset({"Input", "Output", "Const"})
# The end of a kernel's name → what it computes in. I8 is its word for unsigned.
_PRECISIONS = {
    "I8": "uint8", "i8": "int8", "u8": "uint8", "f32": "float32", "f16": "float16",
    "bf16": "bfloat16",
}  # fmt: skip


def executed(path: str, options: Mapping[str, Any]) -> list[Kernel]:
    """The kernels in the order in which they run, with their share of the time.

    The precision is the one in the kernel's own name ("brgconv_avx512_I8"): OpenVINO's
    "runtimePrecision" is of what goes in, and says "u8" of a float product whose weights are stored
    in 8 bits. Kernels of whole numbers that are shapes are left out. Raises what OpenVINO raises.
    """
    told = {**settings(dict(options)), "PERF_COUNT": True}
    compiled = openvino.Core().compile_model(for_one_image(path), DEVICE, told)
    times = _times(compiled)
    whole = sum(times.values()) or 1.0
    found = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        operator, kernel = _said(node, "layerType"), _said(node, "primitiveType")
        precision = _PRECISIONS.get(kernel.rpartition("_")[2])
        if operator not in _NOT_RUN and precision is not None:
            layer = _said(node, "originalLayersNames") or node.get_friendly_name()
            share = times.get(node.get_friendly_name(), 0.0) / whole
            found.append(Kernel(layer, operator, precision, share))
    return found


def _times(compiled: Any) -> dict[str, float]:
    """Node → the least microseconds that it took."""
    request = compiled.create_infer_request()
    image = np.zeros(tuple(compiled.inputs[0].shape), np.float32)
    least: dict[str, float] = {}
    for _ in range(_ROUNDS):
        request.infer([image])
        for entry in request.profiling_info:
            taken = entry.real_time.total_seconds() * 1e6
            least[entry.node_name] = min(taken, least.get(entry.node_name, taken))
    return least


def _said(node: Any, key: str) -> str:
    facts = node.get_rt_info()
    return str(facts[key].astype(str)) if key in facts else ""
