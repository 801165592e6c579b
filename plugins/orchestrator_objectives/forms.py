"""How tensors lie in memory, for rules that tell what an operation gives without doing it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from orchestrator_objectives.shaped import Form, Shaped

__all__ = ["filled", "like", "orderly", "plain", "strides_of", "unbroken", "viewed"]


@functools.lru_cache(maxsize=50_000)
def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of what lies in memory as its shape says."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def plain(value: Any) -> bool:
    """Whether it is a tensor without memory that lies as its shape says."""
    if type(value) is Shaped:
        shape, stride, _ = value.form
        return 0 not in shape and stride == strides_of(shape)
    return isinstance(value, Tensor) and value.is_meta and value.is_contiguous()


def unbroken(value: Shaped) -> bool:
    """Whether it is plain, whatever the strides of axes of size 1, which nothing is reached by."""
    shape, stride, _ = value.form
    pairs = zip(shape, stride, strides_of(shape), strict=True)
    return all(size == 1 or step == wanted for size, step, wanted in pairs)


def orderly(value: Any) -> bool:
    """Whether it is plain, or there is no doubt about the order in which its axes lie.

    Axes of size 1 leave doubt, but for one in front.
    """
    return plain(value) or (type(value) is Shaped and _order(value.form) is not None)


@functools.lru_cache(maxsize=50_000)
def _order(form: Form) -> tuple[int, ...] | None:
    """The axes from the slowest to the fastest."""
    shape, stride, _ = form
    if 0 in shape or 1 in shape[1:] or 0 in stride or len(set(stride)) < len(stride):
        return None
    order = tuple(sorted(range(len(shape)), key=lambda axis: -stride[axis]))
    return None if shape[0] == 1 and order[0] else order


def filled(shape: Sequence[int], like: Any) -> Shaped:
    """Of that shape, lying as it says, and of the type of `like`."""
    size = torch.Size(shape)
    return Shaped((size, strides_of(size), like.dtype))


def like(value: Any) -> Shaped:
    """Another of the same shape, type and order of axes, without gaps; for what is orderly."""
    shape, stride, dtype = value.form if type(value) is Shaped else Shaped.like(value).form
    order = None if stride == strides_of(shape) else _order((shape, stride, dtype))
    if order is None:
        return filled(shape, value)
    return Shaped((shape, _tight(shape, order), dtype))


@functools.lru_cache(maxsize=50_000)
def _tight(shape: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
    stride, step = list(shape), 1
    for axis in reversed(order):
        stride[axis], step = step, step * shape[axis]
    return tuple(stride)


@functools.lru_cache(maxsize=50_000)
def viewed(form: Form, shape: tuple[int, ...]) -> Shaped | None:
    """As many elements seen in another shape; None where that needs a copy.

    As torch finds it: what lies in one piece may be cut anew.
    """
    old, steps, dtype = form
    new, axis = [0] * len(shape), len(shape) - 1
    step, here, there = steps[-1] if steps else 1, 1, 1
    for place in reversed(range(len(old))):
        here *= old[place]
        goes_on = place and (old[place - 1] == 1 or steps[place - 1] == here * step)
        if goes_on:
            continue
        while axis >= 0 and (there < here or shape[axis] == 1):
            new[axis] = there * step
            there *= shape[axis]
            axis -= 1
        if there != here:
            return None
        if place:
            step, here, there = steps[place - 1], 1, 1
    return Shaped((torch.Size(shape), tuple(new), dtype)) if axis < 0 and old else None
