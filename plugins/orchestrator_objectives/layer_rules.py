"""What convolutions, norms, activations, pools, sums and joins give, and their operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from orchestrator_objectives.forms import filled, like, orderly, plain, unbroken
from orchestrator_objectives.shaped import Shaped

__all__ = ["LAYER_RULES", "Operation", "Rule", "Told"]

# Operator, what it is given, what it gives.
Operation: TypeAlias = tuple[Any, tuple[Any, ...], Any]
# What the function gives, and its operations; None where torch is to be asked.
Told: TypeAlias = tuple[Any, list[Operation]] | None
Rule: TypeAlias = Callable[..., Told]

_ATEN = torch.ops.aten


def _convolution(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Told:
    """(B, C, H, W) and (width, C / groups, k, k) → (B, width, H', W')."""
    if isinstance(padding, str) or not _match(x, weight, bias) or len(x.shape) != 4:
        return None
    stride, padding, dilation = _two(stride), _two(padding), _two(dilation)
    sides = [
        (x.shape[2 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i]
        for i in range(2)
    ]
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups or min(sides) < 0:
        return None
    out = filled((x.shape[0], weight.shape[0], sides[0] + 1, sides[1] + 1), x)
    given = (x, weight, bias, stride, padding, dilation, False, [0, 0], groups)
    return out, [(_ATEN.convolution.default, given, out)]


def _batch_norm(
    x: Any,
    mean: Any,
    variance: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Told:
    """With known statistics."""
    if training or weight is None or not _fit(x, weight, bias, mean, variance):
        return None
    if x.shape[1] != weight.shape[0]:
        return None
    out, nothing = like(x), filled((0,), x)
    given = (x, weight, bias, mean, variance, momentum, eps)
    norm: Operation = (_ATEN._native_batch_norm_legit_no_training.default, given, (out,))
    return out, [(_ATEN.empty.memory_format, ([0],), nothing), norm]


def _layer_norm(
    x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Told:
    """Over the last dimensions."""
    if weight is None or not _match(x, weight, bias):
        return None
    if x.shape[-len(shape) :] != weight.shape or weight.shape != tuple(shape):
        return None
    if unbroken(x) and not plain(x):
        return None  # axes of size 1 may keep their strides
    out = filled(x.shape, x)
    each = filled((*x.shape[: -len(shape)], *(1 for _ in shape)), x)
    given = (x, list(shape), weight, bias, eps)
    return out, [(_ATEN.native_layer_norm.default, given, (out, each, each))]


def _activation(operator: Any, overwriting: Any) -> Rule:
    def rule(x: Any, inplace: bool = False) -> Told:
        if not orderly(x):
            return None
        out = x if inplace else like(x)
        return out, [(overwriting if inplace else operator, (x,), out)]

    return rule


def _hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Told:
    if not orderly(x):
        return None
    out = x if inplace else like(x)
    operator = _ATEN.hardtanh_ if inplace else _ATEN.hardtanh
    return out, [(operator.default, (x, min_val, max_val), out)]


def _gelu(x: Any, approximate: str = "none") -> Told:
    if not orderly(x):
        return None
    out = like(x)
    return out, [(_ATEN.gelu.default, (x,), out)]


def _softmax(x: Any, dim: int, _stacklevel: int = 3, dtype: None = None) -> Told:
    if not _match(x) or dtype is not None or not -len(x.shape) <= dim < len(x.shape):
        return None
    out = filled(x.shape, x)
    return out, [(_ATEN._softmax.default, (x, dim, False), out)]


def _of_elements(operator: Any) -> Rule:
    """Of two tensors of one shape, of one and what is stretched to its shape, or a number."""

    def rule(x: Any, other: Any) -> Told:
        if not orderly(x):
            return None
        number = type(other) in (int, float) and x.dtype.is_floating_point
        if not number and not (_alike(x, other) or (_fit(x, other) and _reaches(other, x))):
            return None
        out = like(x)
        return out, [(operator, (x, other), out)]

    return rule


def _alike(x: Any, other: Any) -> bool:
    return type(other) is type(x) is Shaped and other.form == x.form


def _reaches(other: Any, x: Any) -> bool:
    """Whether it can be repeated to have the shape of `x`."""
    shape, wanted = other.shape, x.shape
    last = wanted[len(wanted) - len(shape) :]
    fits = len(shape) <= len(wanted)
    return fits and all(size in (1, whole) for size, whole in zip(shape, last, strict=True))


def _mean(x: Any, dim: Any, keepdim: bool = False) -> Told:
    """Over some dimensions."""
    axes = [dim] if isinstance(dim, int) else list(dim)
    dims = len(x.shape)
    if not axes or not plain(x) or any(not -dims <= axis < dims for axis in axes):
        return None
    gone, sizes = {axis % dims for axis in axes}, enumerate(x.shape)
    out = filled([1 if a in gone else n for a, n in sizes if keepdim or a not in gone], x)
    return out, [(_ATEN.mean.dim, (x, axes, keepdim), out)]


def _greatest(x: Any, dim: Any, keepdim: bool = False) -> Told:
    """Over some dimensions."""
    found = _mean(x, dim, keepdim)
    if found is None:
        return None
    out, [(_, given, _)] = found
    return out, [(_ATEN.amax.default, given, out)]


def _average_to_one(x: Any, output_size: Any) -> Told:
    return _mean(x, (-1, -2), keepdim=True) if output_size in (1, (1, 1)) else None


def _maximum_to_one(x: Any, output_size: Any, return_indices: bool = False) -> Told:
    if return_indices or output_size not in (1, (1, 1)) or len(x.shape) != 4 or not plain(x):
        return None
    out = filled((*x.shape[:2], 1, 1), x)
    return out, [(_ATEN.adaptive_max_pool2d.default, (x, [1, 1]), (out, _places(out)))]


def _maximum(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Told:
    window = (_two(kernel_size), _two(stride or kernel_size), _two(padding), _two(dilation))
    out = None if return_indices else _pooled(x, window, ceil_mode)
    if out is None:
        return None
    given = (x, window[0], window[1] if stride else [], *window[2:], ceil_mode)
    return out, [(_ATEN.max_pool2d_with_indices.default, given, (out, _places(out)))]


def _average(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Told:
    window = (_two(kernel_size), _two(stride or kernel_size), _two(padding), [1, 1])
    out = _pooled(x, window, ceil_mode)
    if out is None:
        return None
    places = (window[0], window[1] if stride else [], window[2])
    given = (x, *places, ceil_mode, count_include_pad, divisor_override)
    return out, [(_ATEN.avg_pool2d.default, given, out)]


def _pooled(x: Any, window: tuple[list[int], ...], ceil_mode: bool) -> Shaped | None:
    """(B, C, H, W) → what a window gives; `window` is kernel, stride, padding, dilation."""
    if len(x.shape) != 4 or not (plain(x) or _channels_last(x)):
        return None
    sides = []
    for side, kernel, stride, padding, dilation in zip(x.shape[2:], *window, strict=True):
        over = side + 2 * padding - dilation * (kernel - 1) - 1 + (stride - 1 if ceil_mode else 0)
        if over < 0 or 2 * padding > kernel:
            return None
        # The last window begins inside the image or its left padding.
        outside = ceil_mode and over // stride * stride >= side + padding
        sides.append(over // stride + (0 if outside else 1))
    if plain(x):
        return filled((*x.shape[:2], *sides), x)
    shape = (*x.shape[:2], *sides)
    return Shaped((torch.Size(shape), _last(*shape[1:]), x.dtype))


def _channels_last(x: Any) -> bool:
    if not orderly(x):
        return False
    return bool(x.stride() == _last(*x.shape[1:]))


def _last(channels: int, height: int, width: int) -> tuple[int, ...]:
    """Strides of maps whose channels lie next to one another."""
    return (height * width * channels, 1, width * channels, channels)


def _dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Told:
    return None if training else (x, [])


def _places(out: Shaped) -> Shaped:
    return Shaped((out.form[0], out.form[1], torch.int64))


def _joined(tensors: Any, dim: int = 0) -> Told:
    """One after another along a dimension."""
    first, dims = tensors[0], len(tensors[0].shape)
    if any(len(each.shape) != dims or each.dtype != first.dtype for each in tensors):
        return None
    # Maps may lie channels last.
    if not all((orderly if dims == 3 else plain)(each) for each in tensors):
        return None
    if not -dims <= dim < dims:
        return None
    axis, shapes = dim % dims, [list(each.shape) for each in tensors]
    width = sum(shape.pop(axis) for shape in shapes)
    if any(shape != shapes[0] for shape in shapes):
        return None
    out = filled((*shapes[0][:axis], width, *shapes[0][axis:]), first)
    return out, [(_ATEN.cat.default, (list(tensors), dim), out)]


def _match(x: Any, *others: Any) -> bool:
    """Whether all others are plain and of the type of `x`, wherever that lies."""
    alike = all(each is None or (plain(each) and each.dtype == x.dtype) for each in others)
    return alike and type(x) is Shaped and 0 not in x.shape


def _fit(x: Any, *others: Any) -> bool:
    """Whether there is no doubt about `x`, and all others are plain and of its type."""
    return orderly(x) and _match(like(x), *others)


def _two(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [value[0], value[-1]]


_ADD, _SUB = _of_elements(_ATEN.add.Tensor), _of_elements(_ATEN.sub.Tensor)
_MAXIMUM, _MINIMUM = _of_elements(_ATEN.maximum.default), _of_elements(_ATEN.minimum.default)
_MUL, _DIV = _of_elements(_ATEN.mul.Tensor), _of_elements(_ATEN.div.Tensor)
_SIGMOID = _activation(_ATEN.sigmoid.default, None)

LAYER_RULES: dict[Any, Rule] = {
    torch.conv2d: _convolution,
    functional.batch_norm: _batch_norm,
    functional.layer_norm: _layer_norm,
    functional.relu: _activation(_ATEN.relu.default, _ATEN.relu_.default),
    functional.silu: _activation(_ATEN.silu.default, _ATEN.silu_.default),
    functional.hardswish: _activation(_ATEN.hardswish.default, _ATEN.hardswish_.default),
    functional.hardsigmoid: _activation(_ATEN.hardsigmoid.default, _ATEN.hardsigmoid_.default),
    functional.hardtanh: _hardtanh,
    functional.gelu: _gelu,
    **dict.fromkeys((torch.sigmoid, Tensor.sigmoid), _SIGMOID),
    **dict.fromkeys((torch.softmax, Tensor.softmax, functional.softmax), _softmax),
    **dict.fromkeys((torch.add, Tensor.add, Tensor.__add__), _ADD),
    **dict.fromkeys((torch.sub, Tensor.sub, Tensor.__sub__), _SUB),
    **dict.fromkeys((torch.mul, Tensor.mul, Tensor.__mul__), _MUL),
    **dict.fromkeys((torch.div, Tensor.div, Tensor.__truediv__), _DIV),
    torch.maximum: _MAXIMUM,
    torch.minimum: _MINIMUM,
    **dict.fromkeys((torch.mean, Tensor.mean), _mean),
    **dict.fromkeys((torch.amax, Tensor.amax), _greatest),
    functional.adaptive_avg_pool2d: _average_to_one,
    functional.adaptive_max_pool2d: _maximum_to_one,
    functional.max_pool2d: _maximum,
    functional.avg_pool2d: _average,
    functional.dropout: _dropout,
    torch.cat: _joined,
}
