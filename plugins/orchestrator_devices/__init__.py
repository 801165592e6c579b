"""The built-in devices."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_devices"]


@hookimpl
def orchestrator_devices() -> Sequence[Offer]:
    """Where networks can be run and measured."""
    return [
        Offer(
            "onnxruntime",
            "orchestrator_devices.onnxruntime_cpu:OnnxRuntime",
            "this machine's processor through ONNX Runtime",
            needs=("onnxruntime", "onnx", "onnxscript"),
            hint="pip install onnxruntime onnx onnxscript",
        )
    ]
