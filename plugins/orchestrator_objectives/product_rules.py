"""What matrix products give, and of which operations they consist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from orchestrator_objectives.forms import filled, orderly, plain, viewed
from orchestrator_objectives.layer_rules import Operation, Rule, Told
from orchestrator_objectives.shaped import Shaped

__all__ = ["PRODUCT_RULES"]

_ATEN = torch.ops.aten


def _linear(x: Any, weight: Any, bias: Any = None) -> Told:
    """(…, C) and (width, C) → (…, width)."""
    given = (weight,) if bias is None else (weight, bias)
    if not all(plain(each) and each.dtype == x.dtype for each in given) or len(x.shape) < 2:
        return None
    width, inner = weight.shape
    if x.shape[-1] != inner or (bias is not None and bias.shape != (width,)):
        return None
    turned = Shaped((torch.Size((inner, width)), (1, inner), weight.dtype))
    transposed: Operation = (_ATEN.t.default, (weight,), turned)
    if plain(x):
        return _by_rows(x, transposed, bias)
    if len(x.shape) < 3 or not orderly(x) or _folds(x):
        return None
    out, operations = _batched(x, turned)
    operations = [transposed, *operations]
    if bias is None:
        return out, operations
    total = filled(out.shape, out)
    return total, [*operations, (_ATEN.add.Tensor, (out, bias), total)]


def _by_rows(x: Any, transposed: Operation, bias: Any) -> Told:
    """In one product of all rows."""
    turned = transposed[2]
    inner, width = turned.shape
    out = filled((*x.shape[:-1], width), x)
    operator = _ATEN.mm.default if bias is None else _ATEN.addmm.default
    added = () if bias is None else (bias,)
    if len(x.shape) == 2:
        return out, [transposed, (operator, (*added, x, turned), out)]
    rows = filled((x.numel() // inner, inner), x)
    product = filled((rows.shape[0], width), x)
    flat: Operation = (_ATEN.view.default, (x, list(rows.shape)), rows)
    first = [transposed, flat] if bias is None else [flat, transposed]
    back = _ATEN._unsafe_view.default if bias is None else _ATEN.view.default
    multiplied: Operation = (operator, (*added, rows, turned), product)
    return out, [*first, multiplied, (back, (product, list(out.shape)), out)]


def _folds(x: Any) -> bool:
    """Whether torch makes one row of rows of it, without a copy."""
    shape, stride = x.shape, x.stride()
    return all(stride[i] == stride[i + 1] * shape[i + 1] for i in range(len(shape) - 2))


def _product(left: Any, right: Any) -> Told:
    """(…, n, k) and (…, k, m) of the same batch → (…, n, m)."""
    dims = len(left.shape)
    fits = type(left) is type(right) is Shaped and left.dtype == right.dtype
    if not fits or dims < 3 or dims != len(right.shape) or 0 in (*left.shape, *right.shape):
        return None
    if left.shape[:-2] != right.shape[:-2] or left.shape[-1] != right.shape[-2]:
        return None
    return _batched(left, right)


def _batched(left: Any, right: Any) -> tuple[Shaped, list[Operation]]:
    """One product for each of a batch, or of each with the one there is."""
    first, operations = _flat(left, left.shape[:-2])
    second, more = _flat(right, left.shape[:-2])
    product = filled((*first.shape[:2], second.shape[2]), left)
    out = filled((*left.shape[:-1], right.shape[-1]), left)
    operations += [*more, (_ATEN.bmm.default, (first, second), product)]
    return out, [*operations, (_ATEN._unsafe_view.default, (product, list(out.shape)), out)]


def _flat(matrix: Any, batch: Sequence[int]) -> tuple[Shaped, list[Operation]]:
    """(…, n, m), or one for all, → (batch, n, m), by a copy where that is no view."""
    size, steps, dtype = matrix.form
    shape, more = torch.Size((*batch, *size[-2:])), len(batch) + 2 - len(size)
    stride = (*(0 for _ in range(more)), *steps)
    x = Shaped((shape, stride, dtype))
    flat = torch.Size((math.prod(batch), *shape[-2:]))
    expanded: Operation = (_ATEN.expand.default, (matrix, list(shape)), x)
    seen = viewed(x.form, flat)
    if seen is not None:
        return seen, [expanded, (_ATEN.view.default, (x, list(flat)), seen)]
    copied, seen = filled(shape, x), filled(flat, x)
    copy: Operation = (_ATEN.clone.default, (x,), copied)
    return seen, [expanded, copy, (_ATEN._unsafe_view.default, (copied, list(flat)), seen)]


PRODUCT_RULES: dict[Any, Rule] = {
    functional.linear: _linear,
    **dict.fromkeys((torch.matmul, Tensor.matmul, Tensor.__matmul__), _product),
}
