"""What a network is, whatever its weights: by it two architectures are found to build the same."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import types
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["structure_of"]

_BUILT_IN = frozenset(nn.Module().__dict__)
_PLAIN = (bool, int, float, complex, str, bytes, types.NoneType)
_CONSTANTS = (torch.dtype, torch.device, torch.layout, torch.memory_format, enum.Enum)


class _OpaqueError(Exception):
    """Something of which nobody can tell whether it equals another."""


def structure_of(network: nn.Module) -> str | None:
    """A hash, equal where networks are equal but for the values of parameters.

    It is of every module's name, class and attributes, of the shapes of parameters, and of
    buffers as they are. None where a module holds what cannot be compared, or a hook, so that
    networks that may differ never pass for one.
    """
    told = hashlib.sha256()
    numbers: dict[int, int] = {}
    try:
        for name, module in network.named_modules(remove_duplicate=False):
            # What is used in two places comes twice, under one number.
            parts = [module, *vars(module)["_parameters"].values()]
            used = [numbers.setdefault(id(part), len(numbers)) for part in parts]
            told.update(repr((name, used, _described(module))).encode())
    except _OpaqueError:
        return None
    return told.hexdigest()[:32]


def _described(module: nn.Module) -> Any:
    state = vars(module)
    if "forward" in state or any(state[hooks] for hooks in state if hooks.endswith("hooks")):
        raise _OpaqueError
    return (
        f"{type(module).__module__}.{type(module).__qualname__}",
        [(key, _told(value)) for key, value in state.items() if key not in _BUILT_IN],
        [(key, None if p is None else _shape(p)) for key, p in state["_parameters"].items()],
        [(key, None if b is None else _valued(b)) for key, b in state["_buffers"].items()],
    )


def _shape(tensor: Tensor) -> tuple[Any, ...]:
    return (str(tensor.dtype), *tensor.shape)


def _valued(buffer: Tensor) -> tuple[Any, ...]:
    values = buffer.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return (str(buffer.dtype), *buffer.shape, hashlib.sha256(values).hexdigest())


def _told(value: Any) -> Any:
    """A text for it that is equal for equal values alone; raises _OpaqueError."""
    kind = type(value)
    if kind in _PLAIN or isinstance(value, _CONSTANTS):
        return f"{kind.__name__}:{value!r}"
    if kind in (list, tuple, torch.Size):
        return [kind.__name__, *map(_told, value)]
    if kind is dict:
        return ["dict", *[(_told(key), _told(item)) for key, item in value.items()]]
    if kind is functools.partial:
        return ["partial", _told(value.func), _told(value.args), _told(value.keywords)]
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:
        fields = [_told(getattr(value, field.name)) for field in dataclasses.fields(value)]
        return [f"{kind.__module__}.{kind.__qualname__}", *fields]
    if isinstance(value, type) or _fixed(value):
        return f"{value.__module__}.{value.__qualname__}"
    raise _OpaqueError


def _fixed(value: Any) -> bool:
    """Whether a function is the same wherever it is found, as `F.relu` and `torch.relu` are."""
    if type(value) is types.BuiltinFunctionType:
        return isinstance(value.__self__, types.ModuleType | type | types.NoneType)
    return (
        type(value) is types.FunctionType
        and value.__closure__ is None
        and value.__name__ != "<lambda>"
    )
