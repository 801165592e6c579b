"""Modules that stand for a block of a network in outline, and turn into it where one looks in."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Protocol, cast

import torch
from torch import nn

from orchestrator.errors import BuildError

__all__ = ["Block", "StandIn", "blockwise", "elements", "evaluated_outline"]

# What stands in a block's place asks for its output: the block's name, what runs it, its inputs.
Recall = Callable[[Hashable, Callable[..., Any], tuple[tuple[Any, ...], dict[str, Any]]], Any]

# Python's own, which the class of stand-ins hides.
_CLASS: Any = object.__dict__["__class__"]
_NUMBERS = itertools.count()

_recalling: ContextVar[Recall | None] = ContextVar("recalling", default=None)


class StandIn(nn.Module):
    """What stands for a block of an outline; it turns into the block where one looks into it."""

    def __init__(self, block: Block) -> None:
        # Not by nn.Module's own, which takes as long as all the rest: what every module has, a
        # stand-in has of its class. `taken`: part of a block.
        vars(self).update(block=block, taken=False)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        maker = vars(self)["block"].maker
        return maker if isinstance(maker, type) else nn.Module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the block gives, from memory while somebody remembers."""
        block, recall = vars(self)["block"], _recalling.get()
        if recall is None:
            return block.whole(*args, **kwargs)
        return recall(block.name, block.run, (args, kwargs))

    # There are no hooks, since who registers one looks in.
    __call__ = forward

    def train(self, mode: bool = True) -> StandIn:
        """Nothing, as the block is in evaluation mode."""
        return self

    def apply(self, change: Callable[[nn.Module], Any]) -> StandIn:
        """Nothing, as there are no values here."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> StandIn:
        """Another that stands for the same."""
        return StandIn(vars(self)["block"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._become(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._become(), name, value)

    def _become(self) -> nn.Module:
        """The block itself, its own and nobody else's."""
        whole = vars(self)["block"].make()
        vars(self).clear()
        vars(self).update(vars(whole))
        _CLASS.__set__(self, type(whole))
        return self


def _looking(name: str) -> Callable[..., Any]:
    def look(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._become(), name)(*args, **kwargs)

    return look


for _name in (
    *("__iter__", "__len__", "__getitem__", "__delattr__", "children", "named_children"),
    *("add_module", "register_module", "register_buffer", "register_parameter"),
    *("register_forward_hook", "register_forward_pre_hook", "get_submodule", "get_parameter"),
    *("state_dict", "load_state_dict", "_apply", "requires_grad_"),
):
    setattr(StandIn, _name, _looking(_name))
# Empty, and to stay so.
for _name, _value in vars(nn.Module()).items():
    setattr(StandIn, _name, MappingProxyType({}) if isinstance(_value, dict) else _value)
StandIn.training = False


class Drawing(Protocol):
    """Who draws outlines."""

    def drawing(self) -> contextlib.AbstractContextManager[None]:
        """While open, outlined makers of this thread give stand-ins."""


class Block:
    """One block by its name; made when it is first run or weighed, and kept."""

    def __init__(self, outlines: Drawing, made: tuple[Callable[..., Any], Any, Any]) -> None:
        self.outlines = outlines
        self.maker, self.args, self.kwargs = made
        self.name = ("block", next(_NUMBERS))
        self._whole: nn.Module | None = None
        self._parameters: int | None = None

    def make(self) -> nn.Module:
        """A new one in evaluation mode, of stand-ins."""
        with self.outlines.drawing(), torch._C._DisableTorchDispatch():
            return evaluated_outline(self._made())

    def _made(self) -> nn.Module:
        maker, args = self.maker, [_another(value) for value in self.args]
        kwargs = {name: _another(value) for name, value in self.kwargs.items()}
        if not isinstance(maker, type):
            return cast("nn.Module", maker(*args, **kwargs))
        block: Any = object.__new__(maker)
        if maker.__module__.startswith("torch."):
            # Half the time goes into drawing values, which there are none of.
            vars(block)["reset_parameters"] = _nothing
        block.__init__(*args, **kwargs)
        vars(block).pop("reset_parameters", None)
        return cast("nn.Module", block)

    @property
    def whole(self) -> nn.Module:
        """One for all that stand for it."""
        if self._whole is None:
            self._whole = self.make()
        return self._whole

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What it gives, with the stand-ins inside it asking in turn."""
        return self.whole(*args, **kwargs)

    @property
    def parameters(self) -> int:
        """Elements of its parameters, those that are used twice counted once."""
        if self._parameters is None:
            self._parameters = elements(self.whole)
        return self._parameters


def _nothing() -> None:
    """Stands for what fills tensors."""


def _another(value: Any) -> Any:
    """What stands for the same block, as a block that is made twice holds two of it."""
    return StandIn(vars(value)["block"]) if type(value) is StandIn else value


@contextlib.contextmanager
def blockwise(recall: Recall) -> Iterator[None]:
    """While open, stand-ins ask `recall` for their output: (name, what runs the block, inputs)."""
    before = _recalling.set(recall)
    try:
        yield
    finally:
        _recalling.reset(before)


def evaluated_outline(network: nn.Module) -> nn.Module:
    """In evaluation mode, as `eval` has it in ten times as long."""
    modules = [network]
    for module in modules:
        if type(module) is not StandIn:
            vars(module)["training"] = False
            modules += [part for part in vars(module)["_modules"].values() if part is not None]
    return network


def elements(network: nn.Module) -> int:
    """Elements of all distinct parameters, those of blocks that stand in included.

    Raises BuildError for a lazy layer. Cost: some tens of microseconds.
    """
    # nn.Module.parameters() builds every name on the way, which costs ten times the sum.
    modules: list[nn.Module] = [network]
    seen: set[int] = {id(network)}
    total = 0
    for module in modules:
        if type(module) is StandIn:
            if vars(module)["taken"]:
                raise BuildError("a block stands in the network and in another block too.")
            total += vars(module)["block"].parameters
            continue
        state = module.__dict__
        for parameter in state["_parameters"].values():
            if parameter is not None and id(parameter) not in seen:
                seen.add(id(parameter))
                total += _elements(parameter)
        for child in state["_modules"].values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                modules.append(child)
    return total


def _elements(parameter: nn.Parameter) -> int:
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        raise BuildError(
            "a lazy layer has no shape yet; run the network once on an example before counting."
        )
    return parameter.numel()
