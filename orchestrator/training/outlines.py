"""Networks drawn in outline: blocks that are only named, for what shapes alone tell.

Counting a network's multiply-adds takes less time than building it. Networks of a space share their
blocks, and a block is known by what makes it: a class or a function, and the arguments. While an
outline is drawn, a maker that is `outlined` gives a module that stands for the block, without
layers or weights; whoever counts remembers what equal blocks did to inputs of one shape. A block
that nobody has met is made then, on the meta device, of the blocks inside it. torch's own layers
with weights are outlined, so that none is made twice.

A stand-in that is looked into turns into the block, so that a space may read a block's attributes.
What walks over all modules of a network, as initialisation does, passes stand-ins by.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar, cast

from torch import Tensor, nn
from torch.nn import init
from torch.utils._device import DeviceContext

from orchestrator.errors import BuildError
from orchestrator.training.block_names import block_name
from orchestrator.training.stand_ins import Block, StandIn, evaluated_outline

__all__ = ["Outlines", "is_outline", "outlined"]

MakerT = TypeVar("MakerT", bound=Callable[..., Any])

_MOST_BLOCKS = 100_000

_drawing: ContextVar[Outlines | None] = ContextVar("drawing", default=None)


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


def _outline_layer(layer: type[nn.Module]) -> None:
    """As `outlined`, for a class of torch's, but not for what is derived from it.

    Outside of outlines it is made as ever, which costs it a third of a microsecond.
    """

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        outlines = _drawing.get()
        # A copy is made without arguments.
        if outlines is None or cls is not layer or not (args or kwargs):
            return object.__new__(cls)
        stands = outlines.stand_in(cls, args, kwargs)
        return object.__new__(cls) if stands is None else stands

    new.outlines = True  # type: ignore[attr-defined]
    layer.__new__ = new  # type: ignore[method-assign]


for _layer in (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm),
):
    _outline_layer(_layer)


class Outlines:
    """Draws outlines, and knows the blocks of all it drew.

    Names of blocks are unique within a process, so that what is remembered by them never is of
    another's block.
    """

    def __init__(self) -> None:
        self._blocks: dict[Hashable, Block] = {}

    def draw(self, build: Callable[[], nn.Module]) -> nn.Module:
        """What `build` gives, in evaluation mode, on the meta device, of blocks that stand in."""
        if len(self._blocks) > _MOST_BLOCKS:
            self._blocks = {}
        with self.drawing():
            network = evaluated_outline(build())
        vars(network)["outlined"] = True
        return network

    def drawing(self) -> AbstractContextManager[None]:
        """While open, outlined makers of this thread give stand-ins."""
        return _Draws(self)

    def stand_in(self, maker: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What stands for such a block; None where it is not known by its arguments."""
        given: list[StandIn] = []
        name = block_name(maker, args, kwargs, given)
        if name is None:
            return None
        for inner in given:
            if vars(inner)["taken"]:
                raise BuildError(
                    f"a block is part of two, one of them {maker.__name__}: no outline is one."
                )
            vars(inner)["taken"] = True
        block = self._blocks.get(name)
        if block is None:
            block = self._blocks[name] = Block(self, (maker, args, kwargs))
        return StandIn(block)


class _Draws:
    """Opened for every block that is made, so it is no generator, which takes longer."""

    def __init__(self, outlines: Outlines) -> None:
        self._outlines = outlines
        self._shapes: _Shapes | None = None

    def __enter__(self) -> None:
        self._before = _drawing.set(self._outlines)
        if self._before.old_value is not self._outlines:
            self._shapes = _Shapes()
            self._shapes.__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: object) -> None:
        if self._shapes is not None:
            self._shapes.__exit__(*error)  # type: ignore[no-untyped-call]
        _drawing.reset(self._before)


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
