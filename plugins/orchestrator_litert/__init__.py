"""LiteRT on a processor: the device, and the quantizer of its models."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors", "orchestrator_devices"]

_NEEDS = ("ai-edge-litert",)
_HINT = "pip install 'pareto-orchestrator[litert]', then once: python -m orchestrator_litert"


@hookimpl
def orchestrator_devices() -> Sequence[Offer]:
    """Where networks can be run and measured."""
    target = "orchestrator_litert.runtime:LiteRt"
    summary = "this machine's processor through LiteRT and XNNPACK, as Android has them"
    return [Offer("litert", target, summary, needs=_NEEDS, hint=_HINT)]


@hookimpl
def orchestrator_compressors() -> Sequence[Offer]:
    """Int8 for LiteRT's models."""
    target = "orchestrator_litert.quantization:ModelQuantization"
    summary = "weights and activations of a LiteRT model in 8 bits"
    return [Offer("litert_quantization", target, summary, needs=_NEEDS, hint=_HINT)]
