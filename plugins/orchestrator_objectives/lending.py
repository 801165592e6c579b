"""A network's modules with other state for a while, so that it can run without being disturbed.

In evaluation mode, and usually with tensors that have a shape but no memory (the meta device), so
that no weight is copied. Whatever the forward pass does to attributes, buffers or hooks is gone
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TENSORS", "Loan", "blank", "lent", "private"]

TENSORS = ("_parameters", "_buffers")


@dataclass(frozen=True, slots=True)
class Loan:
    """One module: its own `__dict__` and the copy that it has during the loan."""

    module: nn.Module
    own: dict[str, Any]
    lent: dict[str, Any]


@contextmanager
def lent(network: nn.Module, *, meta: bool = True) -> Iterator[list[Loan]]:
    """Every distinct module of `network`, each with a copy of its state in evaluation mode.

    With `meta` False the parameters stay real and buffers are copied. Cost: some µs a tensor.
    """
    substitute = blank if meta else _copied
    # What stands for a block of an outline has no state to be kept.
    modules = [module for module in network.modules() if "_modules" in module.__dict__]
    loans = [Loan(m, m.__dict__, _state(m.__dict__, substitute)) for m in modules]
    try:
        for loan in loans:
            object.__setattr__(loan.module, "__dict__", loan.lent)
        yield loans
    finally:
        for loan in loans:
            object.__setattr__(loan.module, "__dict__", loan.own)


def blank(tensor: Tensor) -> Tensor:
    """A meta tensor, or parameter, of the same shape and type."""
    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


def private(value: Any, substitute: Callable[[Tensor], Tensor]) -> Any:
    """A tensor's substitute, a container's copy with substitutes in it, or the value itself."""
    if isinstance(value, Tensor):
        return substitute(value)
    if type(value) is dict:
        return {k: substitute(v) if isinstance(v, Tensor) else v for k, v in value.items()}
    if type(value) in (list, set):
        return type(value)(substitute(v) if isinstance(v, Tensor) else v for v in value)
    return value


def _state(own: dict[str, Any], substitute: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    state = {name: private(value, substitute) for name, value in own.items()}
    state["training"] = False
    # An OrderedDict of hooks is shared no longer, so that none is left behind.
    state["_forward_hooks"] = own["_forward_hooks"].copy()
    state["_modules"] = own["_modules"]
    return state


def _copied(tensor: Tensor) -> Tensor:
    return tensor if isinstance(tensor, nn.Parameter) else tensor.clone()
