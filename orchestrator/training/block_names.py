"""By what a block is known: its maker and the arguments, as something that can be compared."""

from __future__ import annotations

import dataclasses
import marshal
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, cast

from torch import nn

from orchestrator.training.stand_ins import StandIn

__all__ = ["block_name"]

_PLAIN = frozenset({bool, int, float, str, bytes, types.NoneType})
_MARSHALLED = _PLAIN | {tuple, list, dict}
_BUILT_IN = frozenset(nn.Module().__dict__)


def block_name(
    maker: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], given: list[StandIn]
) -> Hashable | None:
    """Equal for makers and arguments that make equal blocks; None where that cannot be told.

    Stand-ins among the arguments are added to `given`.
    """
    try:
        if _MARSHALLED.issuperset(map(type, args)) and not kwargs:
            return (maker, _described_series(args))
        parts = [_described(value, given) for value in args]
        for name, value in kwargs.items():
            parts += [name, _described(value, given)]
        return (maker, *parts)
    except (_UnknownError, TypeError):
        return None


class _UnknownError(Exception):
    """An argument by which a block is not known."""


def _described(value: Any, given: list[StandIn]) -> Hashable:
    """A hashable that is equal for values that make equal blocks.

    Stand-ins among them are added to `given`. Raises _UnknownError where that cannot be told.
    """
    kind = type(value)
    if kind in _PLAIN:
        return (kind, value)
    if kind in _MARSHALLED:
        return _described_series(value)
    if kind is StandIn:
        given.append(value)
        return cast("Hashable", vars(value)["block"].name)
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
        return _described_fields(kind, tuple(vars(value).values()), given)
    if isinstance(value, nn.Module):
        return _described_layer(value)
    if isinstance(value, type | types.BuiltinFunctionType):
        return value
    raise _UnknownError


def _described_series(value: Any) -> Hashable:
    """Of a tuple, list or dictionary; modules in it would have to be found to be made anew."""
    try:
        # Unlike a hash it tells 1 from True and 1.0.
        return marshal.dumps(value, 2)
    except ValueError:
        items = value.items() if type(value) is dict else value
        inside: list[StandIn] = []
        described = (type(value), *[_described(item, inside) for item in items])
        if inside:
            raise _UnknownError from None
        return described


def _described_fields(kind: type, values: tuple[Any, ...], given: list[StandIn]) -> Hashable:
    if _PLAIN.issuperset(map(type, values)):
        return (kind, marshal.dumps(values, 2))
    return (
        kind,
        *[
            tuple(_described(item, given) for item in value)
            if type(value) is tuple
            else _described(value, given)
            for value in values
        ],
    )


def _described_layer(layer: nn.Module) -> Hashable:
    """Of torch's layers without tensors or parts, such as activations."""
    kind, state = type(layer), layer.__dict__
    parts = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")
    if not kind.__module__.startswith("torch.nn.modules") or any(state[part] for part in parts):
        raise _UnknownError
    return (kind, marshal.dumps([item for item in state.items() if item[0] not in _BUILT_IN], 2))
