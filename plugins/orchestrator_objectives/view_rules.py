"""What gives a tensor another shape, and the copy that this may need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from orchestrator_objectives.forms import filled, plain, viewed
from orchestrator_objectives.layer_rules import Operation, Rule, Told
from orchestrator_objectives.shaped import Shaped

__all__ = ["VIEW_RULES"]

_ATEN = torch.ops.aten


def _transposed(x: Shaped, dim0: int, dim1: int) -> Told:
    order, dims = list(range(len(x.shape))), len(x.shape)
    if not all(-dims <= dim < dims for dim in (dim0, dim1)):
        return None
    order[dim0], order[dim1] = order[dim1], order[dim0]
    out = _permutation(x, order)
    return out, [(_ATEN.transpose.int, (x, dim0, dim1), out)]


def _permuted(x: Shaped, *dims: Any) -> Told:
    wanted = list(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else list(dims)
    order = [dim % len(x.shape) for dim in wanted]
    if sorted(order) != list(range(len(x.shape))):
        return None
    out = _permutation(x, order)
    return out, [(_ATEN.permute.default, (x, wanted), out)]


def _permutation(x: Shaped, order: Sequence[int]) -> Shaped:
    shape, stride, dtype = x.form
    size = torch.Size([shape[axis] for axis in order])
    return Shaped((size, tuple(stride[axis] for axis in order), dtype))


def _flattened(x: Shaped, start_dim: int = 0, end_dim: int = -1) -> Told:
    dims = len(x.shape)
    start, end = start_dim % dims, end_dim % dims
    if start >= end:
        return (x, []) if start == end else None
    whole = math.prod(x.shape[start : end + 1])
    return _reshaped(x, (*x.shape[:start], whole, *x.shape[end + 1 :]))


def _unflattened(x: Shaped, dim: int, sizes: Sequence[int]) -> Told:
    axis = dim % len(x.shape)
    known = math.prod(size for size in sizes if size != -1)
    left = x.shape[axis] // known if known else 0
    new = [left if size == -1 else size for size in sizes]
    if math.prod(new) != x.shape[axis] or list(sizes).count(-1) > 1:
        return None
    shape = (*x.shape[:axis], *new, *x.shape[axis + 1 :])
    out = viewed(x.form, shape)
    return None if out is None else (out, [(_ATEN.view.default, (x, list(shape)), out)])


def _selected(x: Any, dim: int, index: Any) -> Told:
    """The places that `index`, a row of numbers, tells."""
    if not plain(x) or not plain(index) or len(index.shape) != 1:
        return None
    axis = dim % len(x.shape)
    out = filled((*x.shape[:axis], index.shape[0], *x.shape[axis + 1 :]), x)
    return out, [(_ATEN.index_select.default, (x, dim, index), out)]


def _reshaped(x: Shaped, shape: tuple[int, ...]) -> Told:
    out = viewed(x.form, shape)
    if out is not None:
        return out, [(_ATEN.view.default, (x, list(shape)), out)]
    copied, out = filled(x.shape, x), filled(shape, x)
    copy: Operation = (_ATEN.clone.default, (x,), copied)
    return out, [copy, (_ATEN._unsafe_view.default, (copied, list(shape)), out)]


VIEW_RULES: dict[Any, Rule] = {
    **dict.fromkeys((torch.transpose, Tensor.transpose), _transposed),
    **dict.fromkeys((torch.permute, Tensor.permute), _permuted),
    **dict.fromkeys((torch.flatten, Tensor.flatten), _flattened),
    **dict.fromkeys((torch.index_select, Tensor.index_select), _selected),
    **dict.fromkeys((torch.unflatten, Tensor.unflatten), _unflattened),
}
