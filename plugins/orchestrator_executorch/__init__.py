"""ExecuTorch on a processor: the device, and the quantizer of its programs."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors", "orchestrator_devices"]

_NEEDS = ("executorch", "torchao")
_HINT = "pip install 'pareto-orchestrator[executorch]'"


@hookimpl
def orchestrator_devices() -> Sequence[Offer]:
    """Where networks can be run and measured."""
    target = "orchestrator_executorch.runtime:ExecuTorch"
    summary = "this machine's processor through ExecuTorch and XNNPACK, as phones have them"
    return [Offer("executorch", target, summary, needs=_NEEDS, hint=_HINT)]


@hookimpl
def orchestrator_compressors() -> Sequence[Offer]:
    """Int8 for ExecuTorch's programs."""
    target = "orchestrator_executorch.quantization:ProgramQuantization"
    summary = "weights and activations of an ExecuTorch program in 8 bits"
    return [Offer("executorch_quantization", target, summary, needs=_NEEDS, hint=_HINT)]
