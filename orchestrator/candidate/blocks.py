"""The blocks of a network: parts that follow one another, found by running it once.

No space says what its blocks are. A network is taken apart into the modules that it calls, and a
module further where it does nothing but hand a tensor from one of its own modules to the next, as a
stage does. What branches, such as a residual block, stays whole, and so does what is made of single
layers alone, such as a convolution with its norm and activation, which runtimes fuse.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Block", "blocks_of"]

# Channels that processors compute at once.
_VECTOR = 16
_PLAIN = (int, float, str, bool, type(None))


@dataclass(frozen=True)
class Block:
    """A module with the shape of what it is given, without the batch.

    `key` is the same for blocks that compute the same up to the values of their weights. `layers`
    tells what it is made of: the kind of layer, such as "Conv2d depthwise 3" → how many there are,
    their multiply-adds, and the elements that they read and write, weights included. A layer may
    count as two kinds, a general and a particular one.
    """

    module: nn.Module
    shape: tuple[int, ...]
    key: str
    layers: Mapping[str, tuple[float, float, float]]


@dataclass
class _Call:
    """One call of a module, and those that it made."""

    module: nn.Module
    given: tuple[Any, ...]
    answer: Any = None
    calls: list[_Call] = field(default_factory=list)

    @property
    def simple(self) -> bool:
        """Whether one tensor becomes one tensor, so that it can be compiled alone."""
        return len(self.given) == 1 and all(
            isinstance(item, Tensor) for item in (*self.given, self.answer)
        )

    @property
    def idle(self) -> bool:
        return self.simple and (self.answer is self.given[0] or isinstance(self.module, nn.Dropout))

    @property
    def chain(self) -> bool:
        """Whether its modules hand on one tensor, and one of them at least has modules too."""
        if not self.simple or not any(call.calls for call in self.calls):
            return False
        flow = self.given[0]
        for call in self.calls:
            if not call.simple or call.given[0] is not flow:
                return False
            flow = call.answer
        return flow is self.answer


def blocks_of(network: nn.Module, input_shape: tuple[int, ...]) -> list[Block]:
    """The blocks in the order of their calls. Costs one inference of an image (C, H, W).

    Of what the network does between its modules, such as a mean, nothing is known.
    """
    root = _recorded(network, input_shape)
    busy = [call for call in _all(root) if call.calls and not call.idle]
    branching = {type(call.module) for call in busy if not call.chain}
    # Containers have no kind of their own: each is judged alone.
    branching -= {nn.Sequential, nn.ModuleList}
    return [_block(call) for call in _taken_apart(root, branching)]


def _taken_apart(call: _Call, branching: set[type[nn.Module]]) -> Iterator[_Call]:
    """The calls below one that is taken apart anyway."""
    for inner in call.calls:
        if inner.idle:
            continue
        whole = not inner.chain or type(inner.module) in branching
        if (inner.simple and whole) or not inner.calls:
            if inner.simple:
                yield inner
        else:
            yield from _taken_apart(inner, branching)


def _all(call: _Call) -> Iterator[_Call]:
    for inner in call.calls:
        yield inner
        yield from _all(inner)


def _recorded(network: nn.Module, input_shape: tuple[int, ...]) -> _Call:
    root = _Call(network, ())
    stack = [root]

    def before(module: nn.Module, given: tuple[Any, ...]) -> None:
        call = _Call(module, given)
        stack[-1].calls.append(call)
        stack.append(call)

    def after(module: nn.Module, given: tuple[Any, ...], answer: Any) -> None:
        stack.pop().answer = answer

    modules = list(network.modules())[1:]
    hooks = [module.register_forward_pre_hook(before) for module in modules]
    hooks += [module.register_forward_hook(after) for module in modules]
    modes = [module.training for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *input_shape, device=_device(network)))
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in zip(network.modules(), modes, strict=True):
            module.training = mode
    return root


def _device(network: nn.Module) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _block(call: _Call) -> Block:
    shape = tuple(call.given[0].shape[1:])
    told = json.dumps([list(shape), _described(call.module)], sort_keys=True, default=str)
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    return Block(call.module, shape, key, _layers(call))


def _layers(call: _Call) -> dict[str, tuple[float, float, float]]:
    """Of all modules in it and of itself, containers left out."""
    found: dict[str, tuple[float, float, float]] = {}
    for inner in (call, *_all(call)):
        if inner.simple and not inner.idle and type(inner.module) is not nn.Sequential:
            names, macs = _cost(inner)
            own = sum(p.numel() for p in inner.module.parameters(recurse=False))
            moved = float(inner.given[0].numel() + inner.answer.numel() + own)
            for name in names:
                count, before, carried = found.get(name, (0.0, 0.0, 0.0))
                found[name] = (count + 1, before + macs, carried + moved)
    return found


def _cost(call: _Call) -> tuple[tuple[str, ...], float]:
    """What a layer is called, in general and in particular, and its multiply-adds.

    Convolutions of channels that are a multiple of 16 or 8 have faster kernels than others, so the
    power of two that divides theirs is a particular of each. What is no layer of torch's is counted
    as if it compared all places with all, as attention does: no more than a feature that a fit may
    use or not.
    """
    module, given, answer = call.module, call.given[0], call.answer
    name = type(module).__name__
    if isinstance(module, nn.Conv2d):
        one, (high, wide) = module.in_channels // module.groups, module.kernel_size
        sort = "dense" if module.groups == 1 else "depthwise" if one == 1 else "grouped"
        sort = "pointwise" if sort == "dense" and high == wide == 1 else sort
        general = f"{name} {sort} {max(high, wide)}"
        even = math.gcd(module.in_channels, module.out_channels, _VECTOR)
        return (general, f"{general} by {even}"), float(answer.numel() * one * high * wide)
    if isinstance(module, nn.Linear):
        return (name,), float(answer.numel() * module.in_features)
    places = math.prod(given.shape[2:] if given.dim() == 4 else given.shape[1:-1])
    return (name,), float(given.numel() * places) if list(module.children()) else 0.0


def _described(module: nn.Module) -> list[Any]:
    """Every module in it: its class, plain attributes and the shapes of its tensors."""
    return [
        [
            name,
            f"{type(inner).__module__}.{type(inner).__qualname__}",
            {k: v for k, v in vars(inner).items() if _plain(v) and k != "training"},
            {k: list(v.shape) for k, v in inner.named_parameters(recurse=False)},
            {k: list(v.shape) for k, v in inner.named_buffers(recurse=False)},
        ]
        for name, inner in module.named_modules()
    ]


def _plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return isinstance(value, _PLAIN)
