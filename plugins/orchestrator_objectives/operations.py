"""The operations of a network as torch does them, one by one, and what they count."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from orchestrator_objectives.remembering import Memory
from orchestrator_objectives.shape_rules import ruled

__all__ = ["Cost", "OperationCounting", "multiply_adds", "visible_attention"]

# What one operation counts, of the operator, its arguments and its output.
Cost: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], int]


_ATEN = torch.ops.aten
_CONVOLUTION = _ATEN.convolution.default
# The right factor comes last.
_PRODUCTS = frozenset({_ATEN.mm.default, _ATEN.addmm.default, _ATEN.bmm.default})


def multiply_adds(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> int:
    """Those of a convolution, a matrix product or attention; nothing for another operation."""
    formula = _formula(operator)
    if formula is None:
        return 0
    # The commonest by the same formulas, which take ten times as long in torch's clothes.
    if operator is _CONVOLUTION and not args[6]:
        return int(output.numel() * args[1].numel() // args[1].shape[0])
    if operator in _PRODUCTS:
        return int(output.numel() * args[-1].shape[-2])
    return int(formula(*args, **kwargs, out_val=output) // 2)


@functools.cache
def _formula(operator: Any) -> Any:
    return flop_registry.get(operator._overloadpacket)


class OperationCounting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """FlopCounterMode's rules without its tracking of modules, which costs more than they do.

    With a memory, an operation on meta tensors is done once for inputs of the same shape.
    """

    def __init__(self, *, cost: Cost = multiply_adds, memory: Memory | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._cost = cost
        self._memory = memory

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled meanwhile. To be skipped costs its import, two seconds, and more time
        # for each operation than most of them take.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        run = functools.partial(self._run, func)
        if self._memory is None:
            return run(*args, **(kwargs or {}))
        return self._memory.recall(func, run, (args, kwargs or {}), self)

    def _run(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        output = ruled(func, args, kwargs)
        if output is None:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            output = func(*args, **kwargs)
        self.happened(func, args, kwargs, output)
        return output

    def happened(
        self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        """An operation of the network was done; one that comes from memory is not told again."""
        self.total += self._cost(operator, args, kwargs, output)


@contextmanager
def visible_attention() -> Iterator[None]:
    """Attention as the matrix products that it is.

    Fused kernels, and the fast path of nn.MultiheadAttention, escape the counting of operations
    on the CPU.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
