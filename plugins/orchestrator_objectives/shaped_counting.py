"""Operations of a network in outline, done on shapes alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor

from orchestrator_objectives.function_rules import told
from orchestrator_objectives.operations import Cost, OperationCounting
from orchestrator_objectives.remembering import Inputs, Memory, OpaqueError
from orchestrator_objectives.shaped import Shaped

__all__ = ["ShapedCounting"]


class ShapedCounting(OperationCounting):  # type: ignore[no-untyped-call]
    """Remembers blocks and functions; what is new is done on the meta device, and counted there.

    Operations on tensors alone, such as a block's own parameters, are counted as they come.
    """

    def __init__(self, memory: Memory, cost: Cost) -> None:
        super().__init__(cost=cost)
        self._shapes = memory

    def recall(self, name: Hashable, run: Callable[..., Any], inputs: Inputs) -> Any:
        """What a block gives."""
        return self._shapes.recall(name, run, inputs, self)

    def follow(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What one of torch's functions gives."""
        run = functools.partial(self._done, function)
        return self._shapes.recall(function, run, (args, kwargs), self)

    def _done(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        found = told(function, args, kwargs)
        if found is None:
            return _done(function, *args, **kwargs)
        output, operations = found
        for operator, given, gives in operations:
            self.happened(operator, given, {}, gives)
        return output


def _done(function: Any, *args: Any, **kwargs: Any) -> Any:
    """On tensors of the same form; an input that is given another form in place has it then."""
    made: dict[int, tuple[Shaped, Tensor]] = {}
    output = function(*_tensors(args, made), **_tensors(kwargs, made))
    for shaped, tensor in made.values():
        shaped.form = Shaped.like(tensor).form
    return _shaped(output, {id(tensor): shaped for shaped, tensor in made.values()})


def _tensors(value: Any, made: dict[int, tuple[Shaped, Tensor]]) -> Any:
    kind = type(value)
    if kind is Shaped:
        if id(value) not in made:
            made[id(value)] = (value, value.tensor())
        return made[id(value)][1]
    if kind is tuple or kind is list:
        return kind(_tensors(item, made) for item in value)
    if kind is dict:
        return {name: _tensors(item, made) for name, item in value.items()}
    return value


def _shaped(value: Any, known: dict[int, Shaped]) -> Any:
    kind = type(value)
    if kind is Tensor:
        if not value.is_meta:
            raise OpaqueError
        return known[id(value)] if id(value) in known else Shaped.like(value)
    if kind is list or isinstance(value, tuple):
        # torch's own tuples, such as what `max` gives, are made of one too.
        return kind([_shaped(item, known) for item in value])
    return value
