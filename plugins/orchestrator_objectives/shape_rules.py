"""What an operation gives, told by rule: torch's own way on the meta device takes milliseconds.

Many of its meta kernels are written in Python, for every case there is. The operations below are
nearly all that networks consist of, and their outputs follow from few shapes. Where a rule does not
fit exactly, there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["ruled"]

_ATEN = torch.ops.aten
# Each element of the output is made of one element, or of one of each of two inputs.
_ELEMENTWISE = frozenset(
    {
        *(_ATEN.relu.default, _ATEN.hardswish.default, _ATEN.silu.default, _ATEN.gelu.default),
        *(_ATEN.sigmoid.default, _ATEN.hardsigmoid.default, _ATEN.hardtanh.default),
        *(_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor, _ATEN.maximum.default),
    }
)
_IN_PLACE = frozenset(
    {
        *(_ATEN.relu_.default, _ATEN.hardswish_.default, _ATEN.silu_.default),
        *(_ATEN.sigmoid_.default, _ATEN.hardsigmoid_.default, _ATEN.hardtanh_.default),
    }
)
_BATCH_NORM = _ATEN._native_batch_norm_legit_no_training.default
_CONVOLUTION = _ATEN.convolution.default


def ruled(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The output, on the meta device; None where no rule tells it."""
    first = args[0] if args else None
    if not (isinstance(first, Tensor) and first.is_meta and first.is_contiguous()):
        return None
    if operator in _IN_PLACE:
        return first
    if operator in _ELEMENTWISE:
        others = [value for value in args[1:] if isinstance(value, Tensor)]
        return _like(first) if all(_same(first, other) for other in others) else None
    if operator is _BATCH_NORM and args[1] is not None and not kwargs:
        return (_like(first), _like(args[1]), _like(args[1]))
    if operator is _CONVOLUTION and not kwargs:
        return _convolved(*args)
    return None


def _same(first: Tensor, other: Tensor) -> bool:
    return (first.shape, first.stride(), first.dtype) == (other.shape, other.stride(), other.dtype)


def _like(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def _convolved(image: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor | None:
    """(B, C, …) and (width, C / groups, …) → (B, width, …), not transposed."""
    stride, padding, dilation, transposed, _, groups = how
    sides, kernel = image.shape[2:], weight.shape[2:]
    fits = len(sides) == len(kernel) and image.shape[1] == weight.shape[1] * groups
    if transposed or not fits or not weight.is_contiguous() or image.dtype != weight.dtype:
        return None
    places = [
        (side + 2 * _at(padding, axis) - _at(dilation, axis) * (size - 1) - 1) // _at(stride, axis)
        for axis, (side, size) in enumerate(zip(sides, kernel, strict=True))
    ]
    if min(places) < 0:
        return None  # torch says what is wrong
    shape = (image.shape[0], weight.shape[0], *(place + 1 for place in places))
    return torch.empty(shape, dtype=image.dtype, device="meta")


def _at(values: Sequence[int], axis: int) -> int:
    """One number stands for all axes."""
    return values[axis] if len(values) > 1 else values[0]
