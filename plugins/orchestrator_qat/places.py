"""Where a network's activations are rounded: found by watching one forward pass.

A place is a module's output or, for what a function made between modules (a product, a mean), the
input of the module that takes it. A name says which: "stages.0.project:out", "head:in". Left out
are tensors that integer runtimes never have, as they compute through them: what goes from a layer
into its norm and from there into a ReLU, and what is only seen otherwise (a flattened tensor, the
largest of some).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import evaluated

__all__ = ["Places", "find_places"]

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_CUTS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_LOOKS = (nn.MaxPool1d, nn.MaxPool2d, nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout)


@dataclass
class Places:
    """Names of modules: whose weights, inputs and outputs are rounded."""

    weights: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


@dataclass
class _Call:
    name: str
    module: nn.Module
    given: Tensor
    made: Tensor

    @property
    def leaf(self) -> bool:
        return next(self.module.children(), None) is None


def find_places(network: nn.Module, images: Tensor) -> Places:
    """The places of a network that takes `images` (B, C, H, W)."""
    calls = _watched(network, images)
    often = Counter(call.name for call in calls)
    once = [call for call in calls if often[call.name] == 1]
    takers: dict[int, list[_Call]] = {}
    for call in calls:
        if call.leaf:
            takers.setdefault(id(call.given), []).append(call)
    places, owned, known = Places(), set[int](), set[tuple[int, int]]()
    for call in once:
        if isinstance(call.module, _LAYERS):
            places.weights.append(call.name)
        if id(call.made) in owned:
            continue  # a container gives out what is its last module's
        owned.add(id(call.made))
        known.add(_where(call.made))
        seen_otherwise = _where(call.made) == _where(call.given)
        passed_on = _passed_on(call, takers.get(id(call.made), []))
        if not (seen_otherwise or passed_on or isinstance(call.module, _LOOKS)):
            places.outputs.append(call.name)
    for call in once:
        if call.leaf and _where(call.given) not in known and not isinstance(call.module, _CUTS):
            places.inputs.append(call.name)
    return places


def _passed_on(call: _Call, takers: list[_Call]) -> bool:
    """Whether all that it makes goes into one norm or cut, which belongs to the same layer."""
    if len(takers) != 1:
        return False
    taker = takers[0].module
    layer = isinstance(call.module, (*_LAYERS, *_NORMS))
    return layer and isinstance(taker, _CUTS + (() if isinstance(call.module, _NORMS) else _NORMS))


def _where(tensor: Tensor) -> tuple[int, int]:
    """The memory it lies in: views of all of a tensor have the same."""
    return tensor.data_ptr(), tensor.numel()


def _watched(network: nn.Module, images: Tensor) -> list[_Call]:
    """Calls in the order in which they ended; their tensors are kept, so that none is like another.

    In-place activations are undone for that: their input would be gone.
    """
    calls: list[_Call] = []
    names = {module: name for name, module in network.named_modules()}

    def watch(module: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        tensors = [*given[:1], made]
        real = [t for t in tensors if isinstance(t, Tensor) and t.is_floating_point()]
        if len(real) == 2:
            calls.append(_Call(names[module], module, *real))

    hooks = [module.register_forward_hook(watch) for module in names if module is not network]
    altered = [m for m in names if getattr(m, "inplace", False)]
    try:
        for module in altered:
            module.inplace = False
        with evaluated(network), torch.no_grad():
            network(images)
    finally:
        for module in altered:
            module.inplace = True
        for hook in hooks:
            hook.remove()
    return calls
