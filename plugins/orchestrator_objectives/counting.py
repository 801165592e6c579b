"""A sum over a network's operations, such as its multiply-adds, remembered block by block.

Multiply-adds are those of convolutions, matrix products and attention, as torch's FlopCounterMode
sees them, halved; biases, normalisation, activations and pooling count nothing. A network runs on
the meta device, so weights are neither read nor needed. That alone takes 50 to 100 ms; but the
networks of a search share their blocks, and a block that was seen before, with inputs of the same
shape, is not run again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from orchestrator import blockwise, is_outline
from orchestrator.errors import BuildError
from orchestrator_objectives.lending import lent
from orchestrator_objectives.shape_rules import ruled
from orchestrator_objectives.signing import Signatures, Signed

__all__ = [
    "ExactCounter",
    "OperationCounting",
    "example",
    "executed",
    "multiply_adds",
    "visible_attention",
]

_T = TypeVar("_T")
# What one operation counts, of the operator, its arguments and its output.
Cost = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], int]

# One or two kilobytes each; a thousand networks of a space leave some ten thousand.
_MOST_REMEMBERED = 50_000
_ATOMS = frozenset({bool, int, float, str, type(None)}) | {
    torch.dtype,
    torch.device,
    torch.layout,
    torch.memory_format,
}


def multiply_adds(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> int:
    """Those of a convolution, a matrix product or attention; nothing for another operation."""
    formula = flop_registry.get(operator._overloadpacket)
    return 0 if formula is None else formula(*args, **kwargs, out_val=output) // 2


class ExactCounter:
    """Sums what a network's operations count; the more alike the networks, the faster.

    With `multiply_adds` equal to `FlopCounterMode` / 2 on the network in evaluation mode, batch 1.
    What an operation counts may depend on shapes, no values. The memory is this object's own and
    is not pickled. Cost: 0.5 to 2 ms for a network of known blocks.
    """

    def __init__(self, cost: Cost = multiply_adds) -> None:
        self._cost = cost
        self._signatures = Signatures()
        self._memory = _Memory()

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
        image = example(network, input_shape, meta=True)
        self._memory = _Memory() if len(self._memory) > _MOST_REMEMBERED else self._memory
        counting = OperationCounting(self._memory, cost=self._cost)
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
            self._signatures, self._memory = Signatures(), _Memory()
        memory = self._memory
        memory.begin()
        counting = OperationCounting(memory, cost=self._cost)
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


class OperationCounting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """FlopCounterMode's rules without its tracking of modules, which costs more than they do.

    With a memory, an operation on meta tensors is done once for inputs of the same shape.
    """

    def __init__(self, memory: _Memory | None = None, *, cost: Cost = multiply_adds) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._cost = cost
        self._memory = memory

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        run = functools.partial(self._run, func)
        if self._memory is None:
            return run(*args, **(kwargs or {}))
        return self._memory.recall(func, run, (args, kwargs or {}), self)

    def _run(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        output = ruled(func, args, kwargs)
        if output is None:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            output = func(*args, **kwargs)
        self.happened(func, args, kwargs, output)
        return output

    def happened(
        self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        """An operation of the network was done; one that comes from memory is not told again."""
        self.total += self._cost(operator, args, kwargs, output)


class _Memory:
    """What modules and operations did to inputs of a shape."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}
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
        self,
        what: Hashable,
        run: Callable[..., Any],
        inputs: tuple[Any, dict[str, Any]],
        counting: OperationCounting,
    ) -> Any:
        """The output of `run` on `inputs`, its operations added to `counting`."""
        args, kwargs = inputs
        tensors: list[Tensor] = []
        try:
            key = (what, *_all_described(args, kwargs, tensors))
        except _OpaqueError:
            return run(*args, **kwargs)
        known = self._known.get(key)
        if known is not None:
            counting.total += known.total
            return known.output(tensors)
        before = counting.total
        output = run(*args, **kwargs)
        known = _known(output, tensors, counting.total - before)
        # An input that was reshaped in place would not be so the next time.
        if known is not None and key[1:] == _all_described(args, kwargs, []):
            self._known[key] = known
            self._learnt.append(key)
        return output


_Session = tuple[dict[int, Signed], _Memory, OperationCounting]


class _OpaqueError(Exception):
    """An input or output that cannot be compared with an earlier one."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a block did: what it counts, and its output as a function of its input tensors."""

    total: int
    output: Callable[[list[Tensor]], Any]


def _all_described(
    args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[Tensor]
) -> tuple[Hashable, ...]:
    if len(args) == 1 and not kwargs and type(args[0]) is Tensor and args[0].is_meta:
        (image,) = args  # nearly always, so it is worth a shorter way
        tensors.append(image)
        return (image.shape, image.stride(), image.dtype)
    return (_described(args, tensors), _described(kwargs, tensors))


def _described(value: Any, tensors: list[Tensor]) -> Hashable:
    """Shapes instead of tensors, equal for inputs that a block cannot tell apart.

    A tensor that comes twice is described by its place in `tensors`, where all are collected.
    Raises _OpaqueError for anything but meta tensors, plain values and containers of them.
    """
    kind = type(value)
    if kind is Tensor or kind is nn.Parameter:
        if not value.is_meta:
            raise _OpaqueError
        for place, other in enumerate(tensors):
            if other is value:
                return place
        tensors.append(value)
        return (value.shape, value.stride(), value.dtype)
    if kind is tuple or kind is list:
        return (kind, *[_described(item, tensors) for item in value])
    if kind is dict:
        return (kind, *[(key, _described(item, tensors)) for key, item in value.items()])
    if kind in _ATOMS:
        return (kind, value)
    raise _OpaqueError


def _known(output: Any, tensors: list[Tensor], total: int) -> _Known | None:
    try:
        return _Known(total, _recipe(output, tensors))
    except _OpaqueError:
        return None


def _recipe(value: Any, tensors: list[Tensor]) -> Callable[[list[Tensor]], Any]:
    """How to make an output like `value` from input tensors of the same description."""
    kind = type(value)
    if kind is Tensor or kind is nn.Parameter:
        return _tensor_recipe(value, tensors)
    if kind is tuple or kind is list:
        parts = [_recipe(item, tensors) for item in value]
        return lambda inputs: kind(part(inputs) for part in parts)
    if kind is dict:
        items = {key: _recipe(item, tensors) for key, item in value.items()}
        return lambda inputs: {key: item(inputs) for key, item in items.items()}
    if kind in _ATOMS:
        return lambda inputs: value
    raise _OpaqueError


def _tensor_recipe(value: Tensor, tensors: list[Tensor]) -> Callable[[list[Tensor]], Any]:
    for place, tensor in enumerate(tensors):
        if tensor is value:
            return lambda inputs: inputs[place]
    if not value.is_meta:
        raise _OpaqueError
    pattern = value.detach()

    def fresh(inputs: list[Tensor]) -> Tensor:
        # Not the pattern itself, as the caller may reshape its tensor in place; and past the
        # counting mode, which would take ten times as long.
        with torch._C._DisableTorchDispatch():
            return pattern.detach()

    return fresh


def example(network: nn.Module, input_shape: tuple[int, int, int], *, meta: bool) -> Tensor:
    """One image of zeros (1, C, H, W) of the network's own type and, unless `meta`, device."""
    first = next((p for p in network.parameters() if p.is_floating_point()), None)
    dtype = torch.float32 if first is None else first.dtype
    device = "meta" if meta else "cpu" if first is None else first.device
    return torch.zeros((1, *input_shape), dtype=dtype, device=device)


@contextmanager
def visible_attention() -> Iterator[None]:
    """Attention as the matrix products that it is.

    Fused kernels, and the fast path of nn.MultiheadAttention, escape the counting of operations
    on the CPU.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
