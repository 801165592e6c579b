"""What modules and operations did to inputs of a shape, so that it need not be done again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from orchestrator_objectives.shaped import Form, Shaped

__all__ = ["Counting", "Inputs", "Known", "Memory", "OpaqueError", "described", "known_of"]

Inputs: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

# torch.Size is a tuple that compares like one.
_ATOMS = frozenset({bool, int, float, str, type(None)}) | {
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
    torch.Size,
}


_SERIES = frozenset({tuple, list})


class Counting(Protocol):
    """Who adds up what operations count."""

    total: int


class OpaqueError(Exception):
    """An input or output that cannot be compared with an earlier one."""


class Memory:
    """Blocks and operations by what they are and were given."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Known] = {}
        self._learnt: list[Hashable] = []

    def __len__(self) -> int:
        return len(self._known)

    def begin(self) -> None:
        """A new network: `forget` will undo what is learnt from now on."""
        self._learnt = []

    def forget(self) -> None:
        """Undo what the network taught that ran last."""
        for key in self._learnt:
            self._known.pop(key, None)

    def recall(
        self, what: Hashable, run: Callable[..., Any], inputs: Inputs, counting: Counting
    ) -> Any:
        """The output of `run` on `inputs`, its operations added to `counting`."""
        args, kwargs = inputs
        tensors: list[Any] = []
        try:
            key = (what, *described(args, kwargs, tensors))
        except OpaqueError:
            return run(*args, **kwargs)
        known = self._known.get(key)
        if known is not None:
            counting.total += known.total
            return known.output(tensors)
        before, forms = counting.total, [_form(tensor) for tensor in tensors]
        output = run(*args, **kwargs)
        known = known_of(output, tensors, counting.total - before)
        # An input that was reshaped in place would not be so the next time.
        if known is not None and forms == [_form(tensor) for tensor in tensors]:
            self._known[key] = known
            self._learnt.append(key)
        return output


@dataclass(frozen=True, slots=True)
class Known:
    """What a block did: what it counts, and its output as a function of its input tensors."""

    total: int
    output: Callable[[list[Any]], Any]


def described(
    args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Any]
) -> tuple[Hashable, ...]:
    """Equal for inputs that a block cannot tell apart: shapes instead of tensors.

    A tensor that comes twice is described by its place in `tensors`, where all are collected.
    Raises OpaqueError for anything but meta tensors, plain values and containers of them.
    """
    if len(args) == 1 and not kwargs:
        (image,) = args  # nearly always, so it is worth a shorter way
        if type(image) is Shaped:
            tensors.append(image)
            return (image.form,)
        if type(image) is Tensor and image.is_meta:
            tensors.append(image)
            return (image.shape, image.stride(), image.dtype)
    parts: list[Any] = []
    for value in args:
        kind = type(value)
        if kind in _ATOMS:
            parts.extend((kind, value))
        else:
            parts.append(_described(value, tensors))
    if kwargs:
        parts.append(_described(kwargs, tensors))
    return tuple(parts)


def _described(value: Any, tensors: list[Any]) -> Hashable:
    kind = type(value)
    if kind is Shaped or kind is Tensor or kind is nn.Parameter:
        for place, other in enumerate(tensors):
            if other is value:
                return place
        tensors.append(value)
        return _form(value)
    if kind in _ATOMS:
        return (kind, value)
    if kind in _SERIES:
        return (kind, *[_described(item, tensors) for item in value])
    if kind is dict:
        return (kind, *[(key, _described(item, tensors)) for key, item in value.items()])
    if kind is slice or value is Ellipsis:
        return repr(value)  # of numbers; a tensor's would tell too much, and never come again
    raise OpaqueError


def _form(value: Any) -> Form:
    if type(value) is Shaped:
        return value.form
    if not value.is_meta:
        raise OpaqueError
    return (value.shape, value.stride(), value.dtype)


def known_of(output: Any, tensors: list[Any], total: int) -> Known | None:
    """What is to be remembered; None where the output cannot be made again."""
    try:
        return Known(total, _recipe(output, tensors))
    except OpaqueError:
        return None


def _recipe(value: Any, tensors: list[Any]) -> Callable[[list[Any]], Any]:
    """How to make an output like `value` from input tensors of the same description."""
    kind = type(value)
    if kind is Shaped or kind is Tensor or kind is nn.Parameter:
        return _tensor_recipe(value, tensors)
    if kind is tuple or kind is list:
        parts = [_recipe(item, tensors) for item in value]
        return lambda inputs: kind(part(inputs) for part in parts)
    if kind is dict:
        items = {key: _recipe(item, tensors) for key, item in value.items()}
        return lambda inputs: {key: item(inputs) for key, item in items.items()}
    if kind in _ATOMS:
        return lambda inputs: value
    raise OpaqueError


def _tensor_recipe(value: Any, tensors: list[Any]) -> Callable[[list[Any]], Any]:
    for place, tensor in enumerate(tensors):
        if tensor is value:
            return lambda inputs: inputs[place]
    form = _form(value)
    if type(value) is Shaped:
        return lambda inputs: Shaped(form)
    pattern: Tensor = value.detach()

    def fresh(inputs: list[Any]) -> Tensor:
        # Not the pattern itself, as the caller may reshape its tensor in place; and past the
        # counting mode, which would take ten times as long.
        with torch._C._DisableTorchDispatch():
            return pattern.detach()

    return fresh
