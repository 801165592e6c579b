"""OpenVINO on a processor: the device, and the quantizer of its files."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors", "orchestrator_devices"]

_HINT = "pip install 'pareto-orchestrator[openvino]'"


@hookimpl
def orchestrator_devices() -> Sequence[Offer]:
    """Where networks can be run and measured."""
    target = "orchestrator_openvino.runtime:OpenVino"
    summary = "this machine's processor through OpenVINO"
    return [Offer("openvino", target, summary, needs=("openvino",), hint=_HINT)]


@hookimpl
def orchestrator_compressors() -> Sequence[Offer]:
    """8 bits for OpenVINO's files."""
    target = "orchestrator_openvino.quantization:OpenVinoQuantization"
    summary = "weights, or weights and activations, of OpenVINO's files in 8 bits (NNCF)"
    needs = ("openvino", "nncf")
    return [Offer("openvino_quantization", target, summary, needs=needs, hint=_HINT)]
