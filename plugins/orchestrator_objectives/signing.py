"""Numbers for modules: equal ones do the same to inputs of the same shape.

A module's number stands for its class, its plain attributes, the shapes of its tensors and the
numbers of its children.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import marshal
import operator
import types
from collections.abc import Hashable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from orchestrator_objectives.lending import TENSORS, blank, private

__all__ = ["Signatures", "Signed"]

_ATOMS = frozenset({bool, int, float, complex, str, bytes, types.NoneType})
_MARSHALLED = _ATOMS | {tuple, list, dict}
_CONSTANTS = (torch.dtype, torch.device, torch.layout, torch.memory_format, enum.Enum, type)
_BUILT_IN = frozenset(nn.Module().__dict__)
_OPAQUE = object()

Group = dict[str, Tensor | None]


@dataclasses.dataclass(slots=True)
class Signed:
    """A module, its number, and its state as it was.

    `number` is None for a module with something else in it, such as a hook or a tensor outside
    the buffers. `state` is the module's own `__dict__`, changed in place while it is borrowed:
    copying every module's costs more than all the rest.
    """

    module: nn.Module
    state: dict[str, Any]
    values: tuple[Any, ...]
    layout: _Layout
    number: int | None = None
    groups: tuple[Group, ...] = ()
    substituted: dict[str, tuple[Any, Any]] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own forward, whatever stands in its place now."""
        own = self.values[self.layout.order["forward"]] if self.layout.replaced else None
        return (own or type(self.module).forward.__get__(self.module))(*args, **kwargs)

    def substitute(self) -> None:
        """Meta tensors in the place of its tensors, and containers of its own; once a loan."""
        if self.substituted is not None:
            return
        self.substituted = {}
        groups = iter(self.groups)
        for name in TENSORS:
            if self.state[name]:
                pattern = next(groups)
                self._put(name, pattern.copy(), pattern)
        for name in self.layout.names:
            value = self.state[name]
            mine = private(value, blank)
            if mine is not value:
                self._put(name, mine, mine.copy() if not isinstance(mine, Tensor) else mine)

    def give_back(self) -> bool:
        """Restore the state; whether it was found as it was lent."""
        state = self.state
        if self.layout.replaced:
            state["forward"] = self.values[self.layout.order["forward"]]
        else:
            state.pop("forward", None)
        state["training"] = self.values[self.layout.training]
        same = True
        for name, (mine, pattern) in (self.substituted or {}).items():
            same = same and state.get(name) is mine and _equal(mine, pattern)
            state[name] = self.values[self.layout.order[name]]
        if not (_equal(tuple(state.values()), self.values) and len(state) == len(self.values)):
            state.clear()
            state.update(zip(self.layout.order, self.values, strict=True))
            return False
        return same

    def _put(self, name: str, mine: Any, pattern: Any) -> None:
        assert self.substituted is not None
        self.state[name] = mine
        self.substituted[name] = (mine, pattern)


class Signatures:
    """Signs networks; within one object equal modules get equal numbers. Cost: 2 to 3 µs a module.

    What is written here for speed sees every attribute of every module of every candidate.
    """

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._layouts: dict[type, _Layout] = {}
        self._groups: dict[Hashable, Group] = {}

    def sign(self, network: nn.Module) -> dict[int, Signed]:
        """Every distinct module of `network` by its id, the network first."""
        found: dict[int, Signed] = {}
        self._visit(network, found)
        return found

    def _visit(self, module: nn.Module, found: dict[int, Signed]) -> int | None:
        known = found.get(id(module))
        if known is not None:
            return known.number  # None for a module that contains itself
        state, kind, attributes = module.__dict__, type(module), tuple(module.__dict__)
        layout = self._layouts.get(kind)
        if layout is None or layout.attributes != attributes:
            layout = self._layouts[kind] = _Layout(attributes)
        signed = found[id(module)] = Signed(module, state, tuple(state.values()), layout)
        parts: list[Any] = [kind, layout.names]
        signable = _add_attributes(signed, parts)
        for name in TENSORS:
            if state[name]:
                signed.groups += (self._group(state[name], parts),)
        for name, child in state["_modules"].items():
            if child is not None:
                number = self._visit(child, found)
                parts.append(name)
                parts.append(number)
                signable = signable and number is not None
        if signable:
            signed.number = self._numbers.setdefault(tuple(parts), len(self._numbers))
        return signed.number

    def _group(self, tensors: Group, parts: list[Any]) -> Group:
        """Add names and shapes to `parts`; the substitutes, which no one may change."""
        key = tuple(
            [
                (name, None) if tensor is None else (name, type(tensor), tensor.shape, tensor.dtype)
                for name, tensor in tensors.items()
            ]
        )
        parts.append(key)
        known = self._groups.get(key)
        if known is None:
            known = self._groups[key] = {
                name: None if tensor is None else blank(tensor) for name, tensor in tensors.items()
            }
        return known


class _Layout:
    """What modules of a class share as long as they have the same attributes."""

    def __init__(self, attributes: tuple[str, ...]) -> None:
        self.attributes = attributes
        self.order = {name: place for place, name in enumerate(attributes)}
        self.names = tuple(name for name in self.order if name not in _BUILT_IN)
        self.training = self.order["training"]
        self.replaced = "forward" in self.order
        # Two more names, as itemgetter gives a tuple only for two or more.
        self.values = operator.itemgetter("training", "training", *self.names)


def _add_attributes(signed: Signed, parts: list[Any]) -> bool:
    """Add the values of attributes to `parts`; False if there is one that tells nothing."""
    state = signed.state
    hooked = state["_forward_hooks"] or state["_forward_pre_hooks"] or "forward" in state
    if not signed.layout.names:
        return not hooked
    values = signed.layout.values(state)[2:]
    if _MARSHALLED.issuperset(map(type, values)):
        try:
            # Faster than hashing, and it tells 1 from True and 1.0.
            parts.append(marshal.dumps(values, 2))
            return not hooked
        except ValueError:
            pass  # a container with something else in it
    plain = _plain(values)
    parts.append(plain)
    return not hooked and plain is not _OPAQUE


def _equal(found: Any, expected: Any) -> bool:
    try:
        return bool(found is expected or found == expected)
    except (RuntimeError, ValueError, TypeError):
        return False  # two different tensors or arrays have no truth value


def _plain(value: Any) -> Any:
    """A hashable equal for equal values, or _OPAQUE where equality cannot be told."""
    kind = type(value)
    if kind in _ATOMS:
        return (kind, value)
    if isinstance(value, _CONSTANTS) or _is_fixed_function(value):
        return value
    parts = _parts(kind, value)
    if parts is None:
        return _OPAQUE
    inner = tuple(_plain(part) for part in parts)
    return _OPAQUE if _OPAQUE in inner else (kind, *inner)


def _parts(kind: type, value: Any) -> Iterable[Any] | None:
    """What a container holds; None if it is none that we know."""
    if kind in (tuple, list, torch.Size):
        return cast("Iterable[Any]", value)
    if kind is dict:
        return cast("Iterable[Any]", value.items())
    if kind is functools.partial:
        return (value.func, value.args, value.keywords)
    if dataclasses.is_dataclass(value) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return None


def _is_fixed_function(value: Any) -> bool:
    """Whether a function is the same wherever it is found, as `F.relu` and `torch.relu` are."""
    if type(value) is types.BuiltinFunctionType:
        return isinstance(value.__self__, types.ModuleType | type | types.NoneType)
    return type(value) is types.FunctionType and value.__closure__ is None
