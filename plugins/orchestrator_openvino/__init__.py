"""OpenVINO on a processor: the device, and the quantizer of its files."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_devices"]

_HINT = "pip install 'pareto-orchestrator[openvino]'"


@hookimpl
def orchestrator_devices() -> Sequence[Offer]:
    """Where networks can be run and measured."""
    target = "orchestrator_openvino.runtime:OpenVino"
    summary = "this machine's processor through OpenVINO"
    return [Offer("openvino", target, summary, needs=("openvino",), hint=_HINT)]
