"""Networks drawn in outline: blocks that are only named, for what shapes alone tell.

Counting a network's multiply-adds takes less time than building it. Networks of a space share their
blocks, and a block is known by what makes it: a class or a function, and the arguments. While an
outline is drawn, a maker that is `outlined` gives a module that stands for the block, without
layers or weights; whoever counts remembers what equal blocks did to inputs of one shape. A block
that nobody has met is made then, on the meta device, of the blocks inside it.

A stand-in that is looked into turns into the block, so that a space may read a block's attributes.
What walks over all modules of a network, as initialisation does, passes stand-ins by.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import marshal
import types
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.utils._device import DeviceContext

from orchestrator.errors import BuildError

__all__ = ["Outlines", "StandIn", "blockwise", "elements", "is_outline", "outlined"]

MakerT = TypeVar("MakerT", bound=Callable[..., Any])
# What stands in a block's place asks for its output: the block's name, what runs it, its inputs.
Recall = Callable[[Hashable, Callable[..., Any], tuple[tuple[Any, ...], dict[str, Any]]], Any]

_MOST_BLOCKS = 100_000
_PLAIN = frozenset({bool, int, float, str, bytes, types.NoneType})
_MARSHALLED = _PLAIN | {tuple, list, dict}
_BUILT_IN = frozenset(nn.Module().__dict__)
_MODULE = dict(vars(nn.Module()))
# Python's own, which the class of stand-ins hides.
_CLASS: Any = object.__dict__["__class__"]
_NUMBERS = itertools.count()

_drawing: ContextVar[Outlines | None] = ContextVar("drawing", default=None)
_recalling: ContextVar[Recall | None] = ContextVar("recalling", default=None)


def outlined(maker: MakerT) -> MakerT:
    """A class of modules, or a function that makes one, whose blocks an outline only names.

    For what is alike whenever its arguments are equal: no randomness but in values of weights, no
    state kept outside. Arguments that are plain values, frozen dataclasses, or modules made of
    such are compared; with others the block is made as usual, as it is outside of outlines.
    """
    if not isinstance(maker, type):
        return cast("MakerT", _outlined_function(maker))
    made_by: Any = maker.__new__
    if made_by is not object.__new__ and not hasattr(made_by, "outlines"):
        raise TypeError(f"{maker.__name__} has a __new__ of its own, so it cannot be outlined.")

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        outlines = _drawing.get()
        stands = outlines and outlines.stand_in(cls, args, kwargs)
        # Not an instance of `cls`, so that Python does not go on to __init__.
        return object.__new__(cls) if stands is None else stands

    new.outlines = True  # type: ignore[attr-defined]
    maker.__new__ = new  # type: ignore[assignment]
    return maker


def _outlined_function(maker: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(maker)
    def make(*args: Any, **kwargs: Any) -> Any:
        outlines = _drawing.get()
        stands = outlines and outlines.stand_in(maker, args, kwargs)
        return maker(*args, **kwargs) if stands is None else stands

    return make


class StandIn(nn.Module):
    """What stands for a block of an outline; it turns into the block where one looks into it."""

    def __init__(self, block: _Block) -> None:
        # Not by nn.Module's own, which takes as long as all the rest. `taken`: part of a block.
        vars(self).update(_blank(), block=block, taken=False)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        maker = vars(self)["block"].maker
        return maker if isinstance(maker, type) else nn.Module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the block gives, from memory while somebody remembers."""
        block, recall = self.block, _recalling.get()
        if recall is None:
            return block.whole(*args, **kwargs)
        return recall(block.name, block.run, (args, kwargs))

    def train(self, mode: bool = True) -> StandIn:
        """Nothing, as the block is in evaluation mode."""
        return self

    def apply(self, change: Callable[[nn.Module], Any]) -> StandIn:
        """Nothing, as there are no values here."""
        return self

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


def _blank() -> dict[str, Any]:
    """What every module has, without what only looking into it would ask for."""
    names = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")
    return {**_MODULE, **{name: {} for name in names}, "training": False}


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


class _Block:
    """One block by its name; made when it is first run or weighed, and kept."""

    def __init__(self, outlines: Outlines, made: tuple[Callable[..., Any], Any, Any]) -> None:
        self.outlines = outlines
        self.maker, self.args, self.kwargs = made
        self.name = ("block", next(_NUMBERS))
        self._whole: nn.Module | None = None
        self._parameters: int | None = None

    def make(self) -> nn.Module:
        """A new one in evaluation mode, of stand-ins."""
        with self.outlines.drawing(), torch._C._DisableTorchDispatch():
            return _evaluated(self._made())

    def _made(self) -> nn.Module:
        maker, args = self.maker, [_another(value) for value in self.args]
        kwargs = {name: _another(value) for name, value in self.kwargs.items()}
        if not isinstance(maker, type):
            return cast("nn.Module", maker(*args, **kwargs))
        block: Any = object.__new__(maker)
        block.__init__(*args, **kwargs)
        return cast("nn.Module", block)

    @property
    def whole(self) -> nn.Module:
        if self._whole is None:
            self._whole = self.make()
        return self._whole

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self.whole(*args, **kwargs)

    @property
    def parameters(self) -> int:
        """Elements of its parameters, those that are used twice counted once."""
        if self._parameters is None:
            self._parameters = elements(self.whole)
        return self._parameters


class Outlines:
    """Draws outlines, and knows the blocks of all it drew.

    Names of blocks are unique within a process, so that what is remembered by them never is of
    another's block.
    """

    def __init__(self) -> None:
        self._blocks: dict[Hashable, _Block] = {}

    def draw(self, build: Callable[[], nn.Module]) -> nn.Module:
        """What `build` gives, in evaluation mode, on the meta device, of blocks that stand in."""
        if len(self._blocks) > _MOST_BLOCKS:
            self._blocks = {}
        with self.drawing():
            network = _evaluated(build())
        vars(network)["outlined"] = True
        return network

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """While open, outlined makers of this thread give stand-ins."""
        before = _drawing.set(self)
        try:
            with contextlib.nullcontext() if before.old_value is self else _Shapes():
                yield
        finally:
            _drawing.reset(before)

    def stand_in(self, maker: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What stands for such a block; None where it is not known by its arguments."""
        given: list[StandIn] = []
        try:
            if _MARSHALLED.issuperset(map(type, args)) and not kwargs:
                key: Hashable = (maker, marshal.dumps(args, 2))
            else:
                parts = [_described(value, given) for value in args]
                for name, value in kwargs.items():
                    parts += [name, _described(value, given)]
                key = (maker, *parts)
        except (_UnknownError, ValueError, TypeError):
            return None
        for inner in given:
            if vars(inner)["taken"]:
                raise BuildError(
                    f"a block is part of two, one of them {maker.__name__}: no outline is one."
                )
            vars(inner)["taken"] = True
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = _Block(self, (maker, args, kwargs))
        return StandIn(block)


def _evaluated(network: nn.Module) -> nn.Module:
    """In evaluation mode, as `eval` has it in ten times as long."""
    modules = [network]
    for module in modules:
        vars(module)["training"] = False
        modules += [part for part in vars(module)["_modules"].values() if part is not None]
    return network


def _another(value: Any) -> Any:
    """What stands for the same block, as a block that is made twice holds two of it."""
    return StandIn(vars(value)["block"]) if type(value) is StandIn else value


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
        # Unlike a hash it tells 1 from True and 1.0.
        return marshal.dumps(value, 2)
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


class _Shapes(DeviceContext):
    """Tensors without memory, which nothing need fill."""

    _FILLING = frozenset(
        {
            *(Tensor.uniform_, Tensor.normal_, Tensor.fill_, Tensor.zero_),
            *(Tensor.erfinv_, Tensor.mul_, Tensor.add_, Tensor.clamp_),
            *(init.kaiming_uniform_, init.uniform_, init.normal_, init.constant_),
        }
    )

    def __init__(self) -> None:
        super().__init__("meta")

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in self._FILLING:
            filled: Tensor = args[0] if args else (kwargs or {})["tensor"]
            if filled.is_meta:
                return filled
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]


def is_outline(network: nn.Module) -> bool:
    """Whether `Outlines.draw` drew it."""
    return "outlined" in vars(network)


@contextlib.contextmanager
def blockwise(recall: Recall) -> Iterator[None]:
    """While open, stand-ins ask `recall` for their output: (name, what runs the block, inputs)."""
    before = _recalling.set(recall)
    try:
        yield
    finally:
        _recalling.reset(before)


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
