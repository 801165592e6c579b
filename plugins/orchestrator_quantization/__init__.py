"""Quantization of exported files."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors"]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """Static int8 for ONNX files."""
    return [
        Offer(
            name="quantization",
            target="orchestrator_quantization.static_int8:StaticQuantization",
            summary="weights and activations of an ONNX file in 8 bits",
            needs=("onnx", "onnxruntime"),
        )
    ]
