"""ONNX Runtime on a processor: the device, and the quantizer of its files."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors", "orchestrator_devices"]

_NEEDS = ("onnxruntime", "onnx", "onnxscript")
_HINT = "pip install onnxruntime onnx onnxscript"


@hookimpl
def orchestrator_devices() -> Sequence[Offer]:
    """Where networks can be run and measured."""
    target = "orchestrator_onnxruntime.runtime:OnnxRuntime"
    summary = "this machine's processor through ONNX Runtime"
    return [Offer("onnxruntime", target, summary, needs=_NEEDS, hint=_HINT)]


@hookimpl
def orchestrator_compressors() -> Sequence[Offer]:
    """The quantizer of ONNX files."""
    target = "orchestrator_onnxruntime.quantization:Quantization"
    summary = "weights and activations of an ONNX file in 8 bits, or weights in 4"
    return [Offer("quantization", target, summary, needs=_NEEDS, hint=_HINT)]
