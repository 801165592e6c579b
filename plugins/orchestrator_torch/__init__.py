"""PyTorch itself as a runtime: as it comes, compiled ahead of time, and on a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_devices"]

_OFFERS = {
    "torch": ("Eager", "this machine's processor through PyTorch, operator by operator"),
    "torch_compiled": ("Compiled", "this machine's processor through PyTorch's own compiler"),
    "cuda": ("Cuda", "a CUDA device through PyTorch, all operators started at once"),
}


@hookimpl
def orchestrator_devices() -> Sequence[Offer]:
    """Where networks can be run and measured."""
    return [
        Offer(name, f"orchestrator_torch.runtime:{kind}", summary, needs=("torch",))
        for name, (kind, summary) in _OFFERS.items()
    ]
