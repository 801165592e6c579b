"""A sum over a network's operations, such as its multiply-adds, remembered block by block.

Multiply-adds are those of convolutions, matrix products and attention, as torch's FlopCounterMode
sees them, halved; biases, normalisation, activations and pooling count nothing. A network runs on
the meta device, so weights are neither read nor needed. That alone takes 50 to 100 ms; but the
networks of a search share their blocks, and a block that was seen before, with inputs of the same
shape, is not run again. A network in outline runs on shapes alone, see `shaped_counting`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from orchestrator import blockwise, is_outline
from orchestrator.errors import BuildError
from orchestrator_objectives.forms import filled
from orchestrator_objectives.lending import lent
from orchestrator_objectives.operations import (
    Cost,
    OperationCounting,
    multiply_adds,
    visible_attention,
)
from orchestrator_objectives.remembering import Memory
from orchestrator_objectives.shaped import followed
from orchestrator_objectives.shaped_counting import ShapedCounting
from orchestrator_objectives.signing import Signatures, Signed

__all__ = ["ExactCounter", "example", "executed"]

_T = TypeVar("_T")

# One or two kilobytes each; a thousand networks of a space leave some ten thousand.
_MOST_REMEMBERED = 50_000


class ExactCounter:
    """Sums what a network's operations count; the more alike the networks, the faster.

    With `multiply_adds` equal to `FlopCounterMode` / 2 on the network in evaluation mode, batch 1.
    What an operation counts may depend on shapes, no values. The memory is this object's own and
    is not pickled. Cost: 0.3 to 1 ms for an outline of known blocks, 1 to 6 ms for one with blocks
    that are new, 0.5 to 2 ms for a network that is built, of known blocks.
    """

    def __init__(self, cost: Cost = multiply_adds) -> None:
        self._cost = cost
        self._signatures = Signatures()
        self._memory = Memory()
        self._shapes = Memory()
        # Until an outline is met that only tensors suit.
        self._shapes_do = True

    def __reduce__(self) -> tuple[type[ExactCounter], tuple[Cost]]:
        return (ExactCounter, (self._cost,))

    def count(self, network: nn.Module, input_shape: tuple[int, int, int]) -> int:
        """The sum for one image (C, H, W); leaves `network` as it was.

        A network that cannot run on the meta device (its shapes depend on values) is run on its
        own device, on zeros; so is one that changes its own attributes, but on the meta device.
        All three ways give the same figure. Raises BuildError if it cannot run at all.
        """
        if is_outline(network):
            return self._outlined(network, input_shape)
        try:
            with torch.no_grad(), visible_attention():
                total = self._from_memory(network, input_shape)
            if total is not None:
                return total
        except Exception:
            pass  # a module that reaches deep into another, say; the next way needs no memory
        return executed(network, input_shape, self._counted)

    def _outlined(self, network: nn.Module, input_shape: tuple[int, int, int]) -> int:
        """Its blocks and operations from memory; there is nothing in it to be given back."""
        if self._shapes_do:
            try:
                return self._by_shapes(network, input_shape)
            except Exception:
                pass  # what no tensor is does not suit it, or it does not run at all
        total = self._by_tensors(network, input_shape)
        self._shapes_do = False
        return total

    def _by_shapes(self, network: nn.Module, input_shape: tuple[int, int, int]) -> int:
        if len(self._shapes) > _MOST_REMEMBERED:
            self._shapes = Memory()
        image = filled((1, *input_shape), like=_first(network))
        counting = ShapedCounting(self._shapes, self._cost)
        asked = blockwise(counting.recall)
        with torch.no_grad(), visible_attention(), asked, followed(counting.follow), counting:
            network(image)
        return counting.total

    def _by_tensors(self, network: nn.Module, input_shape: tuple[int, int, int]) -> int:
        image = example(network, input_shape, meta=True)
        self._memory = Memory() if len(self._memory) > _MOST_REMEMBERED else self._memory
        counting = OperationCounting(cost=self._cost, memory=self._memory)
        recall = functools.partial(self._memory.recall, counting=counting)
        with torch.no_grad(), visible_attention(), blockwise(recall), counting:
            network(image)
        return counting.total

    def _counted(self, network: nn.Module, image: Tensor) -> int:
        counting = OperationCounting(cost=self._cost)
        with counting:
            network(image)
        return counting.total

    def _from_memory(self, network: nn.Module, input_shape: tuple[int, int, int]) -> int | None:
        """None if remembering does not suit the network."""
        image = example(network, input_shape, meta=True)
        if len(self._memory) > _MOST_REMEMBERED:
            # Numbers and what is known by them go together.
            self._signatures, self._memory = Signatures(), Memory()
        memory = self._memory
        memory.begin()
        counting = OperationCounting(cost=self._cost, memory=memory)
        signed = self._signatures.sign(network)
        root, *parts = signed.values()
        session = (signed, memory, counting)
        sound = False
        try:
            for part in parts:
                part.state["training"] = False
                part.state["forward"] = functools.partial(_recalled, part, session)
            root.state["training"] = False
            _substitute(root, signed)
            with counting:
                network(image)
            sound = True
        finally:
            found = [part.give_back() for part in signed.values()]
            sound = sound and all(found)
            if not sound:
                memory.forget()
        return counting.total if sound else None


def executed(
    network: nn.Module,
    input_shape: tuple[int, int, int],
    run: Callable[[nn.Module, Tensor], _T],
) -> _T:
    """What `run` gives for the network in evaluation mode and one image (C, H, W) of zeros.

    On the meta device; a second time on the network's own where the first fails. Attention is
    matrix products. Leaves `network` as it was. Raises BuildError if it does not run.
    """
    with torch.no_grad(), visible_attention():
        try:
            return _executed(network, input_shape, run, meta=True)
        except Exception:
            pass  # shapes that depend on values need values
        try:
            return _executed(network, input_shape, run, meta=False)
        except Exception as error:
            raise BuildError(
                f"operations of {type(network).__name__} cannot be counted: it does not run on "
                f"one image of shape {input_shape} ({type(error).__name__}: {error}). Check the "
                "image size and channels; a network whose shapes depend on values must not be on "
                "the meta device."
            ) from error


def _executed(
    network: nn.Module,
    input_shape: tuple[int, int, int],
    run: Callable[[nn.Module, Tensor], _T],
    *,
    meta: bool,
) -> _T:
    with lent(network, meta=meta):
        return run(network, example(network, input_shape, meta=meta))


def _recalled(part: Signed, session: _Session, /, *args: Any, **kwargs: Any) -> Any:
    """A part's output from memory if it is there; otherwise the part runs on meta tensors."""
    signed, memory, counting = session

    def run(*args: Any, **kwargs: Any) -> Any:
        _substitute(part, signed)
        return part.forward(*args, **kwargs)

    if part.number is None:
        return run(*args, **kwargs)
    return memory.recall(part.number, run, (args, kwargs), counting)


def _substitute(part: Signed, signed: dict[int, Signed]) -> None:
    """For a part that really runs; it may use a child's weights without calling the child."""
    part.substitute()
    for child in part.module.__dict__["_modules"].values():
        if child is not None:
            signed[id(child)].substitute()


_Session = tuple[dict[int, Signed], Memory, OperationCounting]


def _first(network: nn.Module) -> Tensor:
    """Its first parameter that is no block's, or one such as layers have."""
    modules = [network]
    while modules:
        state = vars(modules.pop())
        for parameter in state.get("_parameters", {}).values():
            if parameter is not None and parameter.is_floating_point():
                return cast("Tensor", parameter)
        inner = [each for each in state.get("_modules", {}).values() if each is not None]
        modules += reversed(inner)
    return torch.empty(0)


def example(network: nn.Module, input_shape: tuple[int, int, int], *, meta: bool) -> Tensor:
    """One image of zeros (1, C, H, W) of the network's own type and, unless `meta`, device."""
    first = next((p for p in network.parameters() if p.is_floating_point()), None)
    dtype = torch.float32 if first is None else first.dtype
    device = "meta" if meta else "cpu" if first is None else first.device
    return torch.zeros((1, *input_shape), dtype=dtype, device=device)
