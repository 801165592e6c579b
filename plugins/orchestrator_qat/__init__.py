"""Training that knows of the few bits that its network will run in."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors"]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """Quantization-aware training."""
    target = "orchestrator_qat.compressor:QuantizationAwareTraining"
    summary = "trains on with weights and activations rounded to 8 bits, and learns their ranges"
    return [Offer("qat", target, summary)]
