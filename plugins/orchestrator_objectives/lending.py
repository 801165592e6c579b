"""A network's modules with borrowed state, so that it can run without being disturbed.

While a network is lent, each module's `__dict__` is a copy: in evaluation mode, with tensors that
have a shape but no memory (the meta device), with lists and dictionaries of its own. Whatever the
forward pass does to attributes, buffers or hooks is gone when the loan ends; no weight is copied.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["Ledger", "Loan"]

_ATOMS = frozenset({bool, int, float, complex, str, bytes, types.NoneType})
_CONTAINERS = frozenset({list, dict, set})
_CONSTANTS = (torch.dtype, torch.device, torch.layout, torch.memory_format, enum.Enum, type)
_BUILT_IN = frozenset(nn.Module().__dict__)
_OPAQUE = object()


@dataclasses.dataclass(slots=True)
class Loan:
    """One module for the duration of a loan.

    `signature` numbers what decides a module's output shapes and multiply-adds: its class, plain
    attributes, the shapes of its tensors and the signatures of its children. None if it has
    something else in it, such as a hook or a tensor outside the buffers.
    """

    module: nn.Module
    own: dict[str, Any]
    lent: dict[str, Any]
    signature: int | None = None
    expected: dict[str, Any] | None = None
    containers: tuple[str, ...] = ()

    def changed(self) -> bool:
        """Whether the forward pass set, removed or extended an attribute or a buffer."""
        self.lent.pop("forward", None)
        try:
            return self.lent != self.expected
        except (RuntimeError, ValueError, TypeError):
            return True  # two different tensors or arrays have no truth value


class Ledger:
    """Lends networks and numbers signatures; equal modules get equal numbers.

    Cost: about 3 µs a module.
    """

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._layouts: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self._groups: dict[Hashable, dict[str, Tensor | None]] = {}

    @contextmanager
    def lent(self, network: nn.Module, *, meta: bool = True) -> Iterator[list[Loan]]:
        """Every distinct module of `network`, the network first.

        With `meta` False the parameters stay real and buffers are copied.
        """
        loans: dict[int, Loan] = {}
        self._visit(network, loans, meta)
        try:
            for loan in loans.values():
                object.__setattr__(loan.module, "__dict__", loan.lent)
            yield list(loans.values())
        finally:
            for loan in loans.values():
                object.__setattr__(loan.module, "__dict__", loan.own)

    def _visit(self, module: nn.Module, loans: dict[int, Loan], meta: bool) -> int | None:
        known = loans.get(id(module))
        if known is not None:
            return known.signature  # None for a module that contains itself
        own = module.__dict__
        lent = own.copy()
        loan = loans[id(module)] = Loan(module, own, lent)
        lent["training"] = False
        parts: list[Any] = []
        signable = self._attributes(loan, parts, meta)
        for group in ("_parameters", "_buffers"):
            if own[group]:
                lent[group] = self._tensors(own[group], parts, meta)
        children = own["_modules"]
        for name, child in children.items():
            if child is not None:
                signature = self._visit(child, loans, meta)
                parts += (name, signature)
                signable = signable and signature is not None
        loan.expected = lent.copy()
        for name in ("_parameters", "_buffers", *loan.containers):
            # Empty ones too: thop adds a buffer to every layer it counts.
            lent[name] = lent[name].copy()
        if signable:
            loan.signature = self._numbers.setdefault(tuple(parts), len(self._numbers))
        return loan.signature

    def _attributes(self, loan: Loan, parts: list[Any], meta: bool) -> bool:
        """Add class and attributes to `parts`; False if there is one that tells nothing.

        Written for speed: it sees every attribute of every module.
        """
        own = loan.own
        # The names are found once for all modules that have the same ones.
        layout = (type(loan.module), *own)
        names = self._layouts.get(layout)
        if names is None:
            names = self._layouts[layout] = tuple(name for name in own if name not in _BUILT_IN)
        parts += (layout[0], names)
        signable = not (own["_forward_hooks"] or own["_forward_pre_hooks"] or "forward" in own)
        for name in names:
            value = own[name]
            kind = type(value)
            if kind in _ATOMS:
                parts.append(kind)
                parts.append(value)
            elif kind is tuple and _ATOMS.issuperset(kinds := tuple(map(type, value))):
                parts += (kinds, value)
            else:
                if kind in _CONTAINERS or isinstance(value, Tensor):
                    self._take_over(loan, name, meta)
                plain = _plain(value)
                signable = signable and plain is not _OPAQUE
                parts.append(plain)
        return signable

    def _take_over(self, loan: Loan, name: str, meta: bool) -> None:
        """Lend an attribute that can be changed in place: a tensor, or a container of some."""
        value = loan.own[name]
        substitute = self._blank if meta else _real
        if isinstance(value, Tensor):
            loan.lent[name] = substitute(value)
            return
        loan.containers += (name,)
        if isinstance(value, dict):
            items = {k: substitute(v) if isinstance(v, Tensor) else v for k, v in value.items()}
            loan.lent[name] = items
        else:
            loan.lent[name] = type(value)(
                substitute(v) if isinstance(v, Tensor) else v for v in value
            )

    def _tensors(
        self, group: dict[str, Tensor | None], parts: list[Any], meta: bool
    ) -> dict[str, Tensor | None]:
        """Add names and shapes to `parts`; the substitutes, which no one may change."""
        key = tuple(
            [
                (name, None) if tensor is None else (name, type(tensor), tensor.shape, tensor.dtype)
                for name, tensor in group.items()
            ]
        )
        parts.append(key)
        if not meta:
            return {
                name: tensor if tensor is None else _real(tensor) for name, tensor in group.items()
            }
        known = self._groups.get(key)
        if known is None:
            known = self._groups[key] = {
                name: tensor if tensor is None else self._blank(tensor)
                for name, tensor in group.items()
            }
        return known

    def _blank(self, tensor: Tensor) -> Tensor:
        blank = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(blank, requires_grad=False)
        return blank


def _real(tensor: Tensor) -> Tensor:
    return tensor if isinstance(tensor, nn.Parameter) else tensor.clone()


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
