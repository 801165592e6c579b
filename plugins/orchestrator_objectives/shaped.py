"""Tensors of which shape, strides and type are known, and nothing else.

torch's own tensors without memory cost it some ten microseconds an operation, a multiple of what
remembering the operation's outcome takes. These cost it one: they are no tensors, but torch hands
every function that is given one to them, and whoever `follows` says what comes of it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

import torch
from torch import Tensor

__all__ = ["Form", "Shaped", "followed"]

# Shape, strides and type.
Form: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
# Function of torch, arguments, keyword arguments → what it gives.
Follow: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]

_TRANSPOSED: Any = Tensor.T
_TRANSPOSED_LAST: Any = Tensor.mT

_following: ContextVar[Follow] = ContextVar("following")

_SPECIAL = frozenset(
    f"__{name}__"
    for name in (
        *("add", "radd", "iadd", "sub", "rsub", "isub", "mul", "rmul", "imul", "truediv"),
        *("rtruediv", "itruediv", "floordiv", "rfloordiv", "ifloordiv", "mod", "rmod", "imod"),
        *("pow", "rpow", "ipow", "matmul", "rmatmul", "neg", "pos", "abs", "invert", "and", "iand"),
        *("or", "ior", "xor", "ixor", "lt", "le", "gt", "ge", "eq", "ne"),
        *("getitem", "setitem", "bool", "int", "float", "index"),
    )
)


@contextlib.contextmanager
def followed(follow: Follow) -> Iterator[None]:
    """While open, `follow` is asked for what torch's functions give in this thread."""
    before = _following.set(follow)
    try:
        yield
    finally:
        _following.reset(before)


class Shaped:
    """What nearly all code takes for a tensor on the meta device.

    Of attributes it has the usual ones; what asks for another has it raise AttributeError.
    """

    __slots__ = ("form",)

    # To isinstance it is a tensor; to torch, which looks at the type, it is not.
    __class__ = property(lambda self: Tensor)
    device = torch.device("meta")
    layout = torch.strided
    is_meta = True
    requires_grad = is_cuda = is_cpu = is_sparse = is_quantized = is_nested = False
    grad_fn = None
    T = property(lambda self: _following.get()(_TRANSPOSED.__get__, (self,), {}))
    mT = property(lambda self: _following.get()(_TRANSPOSED_LAST.__get__, (self,), {}))

    def __init__(self, form: Form) -> None:
        self.form = form

    @classmethod
    def like(cls, tensor: Tensor) -> Shaped:
        """Of the form of `tensor`."""
        return cls((tensor.shape, tensor.stride(), tensor.dtype))

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _following.get()(func, args, kwargs or {})

    @property
    def shape(self) -> tuple[int, ...]:
        """As a torch.Size."""
        return self.form[0]

    @property
    def dtype(self) -> torch.dtype:
        """The type of an element."""
        return self.form[2]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.form[0])

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.form[0])

    def size(self, dim: int | None = None) -> Any:
        """All, or that of one dimension."""
        return self.form[0] if dim is None else self.form[0][dim]

    def stride(self, dim: int | None = None) -> Any:
        """All, or that of one dimension."""
        return self.form[1] if dim is None else self.form[1][dim]

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.form[0])

    def __len__(self) -> int:
        return self.form[0][0]

    def __iter__(self) -> Iterator[Any]:
        return iter(_following.get()(Tensor.unbind, (self, 0), {}))

    def tensor(self) -> Tensor:
        """A tensor of that form on the meta device."""
        shape, stride, dtype = self.form
        return torch.empty_strided(shape, stride, dtype=dtype, device="meta")


def _method(function: Any) -> Callable[..., Any]:
    def method(self: Shaped, *args: Any, **kwargs: Any) -> Any:
        return _following.get()(function, (self, *args), kwargs)

    return method


for _name in dir(Tensor):
    _known = _name in vars(Shaped) or (_name.startswith("_") and _name not in _SPECIAL)
    if not _known and callable(getattr(Tensor, _name)):
        setattr(Shaped, _name, _method(getattr(Tensor, _name)))
