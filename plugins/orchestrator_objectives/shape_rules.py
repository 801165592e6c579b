"""What an operation gives, told by rule: torch's own way on the meta device takes milliseconds.

Many of its meta kernels are written in Python, for every case there is. The operations below are
nearly all that networks consist of, and their outputs follow from few shapes. Where a rule does not
fit exactly, there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
# Product of matrices → dimensions. It lies in memory as its shape says, wherever its factors do.
_PRODUCTS = {_ATEN.mm.default: 2, _ATEN.addmm.default: 2, _ATEN.bmm.default: 3}


def ruled(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The output, on the meta device; None where no rule tells it."""
    if kwargs and operator not in _ELEMENTWISE:
        return None
    if operator in _PRODUCTS:
        return _multiplied(operator, *args)
    first = args[0] if args else None
    if not (isinstance(first, Tensor) and first.is_meta and first.is_contiguous()):
        return None
    if operator in _ELEMENTWISE:
        others = [value for value in args[1:] if isinstance(value, Tensor)]
        return _like(first) if all(_same(first, other) for other in others) else None
    rule = _RULES.get(operator)
    return None if rule is None else rule(*args)


def _same(first: Tensor, other: Tensor) -> bool:
    return (first.shape, first.stride(), first.dtype) == (other.shape, other.stride(), other.dtype)


def _like(tensor: Tensor) -> Tensor:
    return _sized(tensor.shape, tensor)


def _sized(shape: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device="meta")


def _multiplied(operator: Any, *tensors: Tensor) -> Tensor | None:
    """(…, rows, inner) and (…, inner, columns), after what is added, → (…, rows, columns)."""
    *added, left, right = tensors
    fits = len(left.shape) == len(right.shape) == _PRODUCTS[operator]
    fits = fits and left.shape[:-2] == right.shape[:-2] and left.shape[-1] == right.shape[-2]
    fits = fits and all(each.shape == right.shape[-1:] for each in added)
    if not fits or any(not each.is_meta or each.dtype != left.dtype for each in tensors):
        return None
    return _sized((*left.shape[:-1], right.shape[-1]), left)


def _averaged(
    image: Tensor, axes: Sequence[int] | None = None, keepdim: bool = False
) -> Tensor | None:
    """Over some axes, which stay as 1 or go."""
    if not axes:
        return None
    gone = {axis % len(image.shape) for axis in axes}
    sizes = enumerate(image.shape)
    kept = [1 if axis in gone else size for axis, size in sizes if keepdim or axis not in gone]
    return _sized(kept, image)


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
    return _sized((image.shape[0], weight.shape[0], *(place + 1 for place in places)), image)


def _at(values: Sequence[int], axis: int) -> int:
    """One number stands for all axes."""
    return values[axis] if len(values) > 1 else values[0]


def _normed(image: Tensor, weight: Tensor | None, *_: Any) -> tuple[Tensor, ...] | None:
    return None if weight is None else (_like(image), _like(weight), _like(weight))


def _resized(image: Tensor, sides: Sequence[int], *_: Any) -> Tensor | None:
    return _sized((*image.shape[:2], *sides), image) if len(image.shape) == 4 else None


def _overwritten(image: Tensor, *_: Any) -> Tensor:
    return image


_RULES: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys(_IN_PLACE, _overwritten),
    _ATEN._native_batch_norm_legit_no_training.default: _normed,
    _ATEN.convolution.default: _convolved,
    _ATEN.upsample_bilinear2d.default: _resized,
    _ATEN.mean.dim: _averaged,
}
