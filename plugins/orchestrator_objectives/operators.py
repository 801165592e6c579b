"""What torch's operators do to memory: which move nothing, and what they leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

__all__ = ["is_folded", "is_pointwise", "moves_nothing", "results", "tensors"]

_ATEN = torch.ops.aten
# They reserve memory, or give their input another shape, but are not declared as views.
_FREE = frozenset(
    {
        _ATEN.empty,
        _ATEN.empty_like,
        _ATEN.empty_strided,
        _ATEN.new_empty,
        _ATEN._unsafe_view,
        _ATEN.squeeze_,
        _ATEN.unsqueeze_,
        _ATEN.t_,
        _ATEN.transpose_,
    }
)
# Their other outputs are there for training, or are indices that nobody reads.
_ONE_RESULT = frozenset(
    {
        _ATEN._native_batch_norm_legit_no_training,
        _ATEN.native_batch_norm,
        _ATEN.native_layer_norm,
        _ATEN.native_group_norm,
        _ATEN.max_pool2d_with_indices,
        _ATEN.adaptive_max_pool2d,
    }
)
_POINTWISE = frozenset({_ATEN.hardswish, _ATEN.hardswish_})


def moves_nothing(operator: Any) -> bool:
    """Whether it gives a view of its input, or memory that nothing is written to."""
    return bool(operator.is_view) or operator._overloadpacket in _FREE


def is_folded(operator: Any) -> bool:
    """Whether it is a batch norm with known statistics: part of a convolution when deployed."""
    return bool(operator._overloadpacket is _ATEN._native_batch_norm_legit_no_training)


def is_pointwise(operator: Any) -> bool:
    """Whether each output element depends on the input elements at its place, as sums do."""
    if operator._overloadpacket is _ATEN.clone:
        return False  # it may bring elements into another order
    return torch.Tag.pointwise in operator.tags or operator._overloadpacket in _POINTWISE


def tensors(value: Any) -> list[Tensor]:
    """All tensors in nested containers; one that comes twice comes twice."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def results(operator: Any, output: Any) -> Sequence[Tensor]:
    """What an operator gives in inference."""
    found = tensors(output)
    return found[:1] if operator._overloadpacket in _ONE_RESULT else found
