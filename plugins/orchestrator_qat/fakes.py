"""Rounding put into a network for a while, and taken out again without a trace.

Ranges are buffers of the modules whose tensors they are of, so that they move, are copied and are
averaged with the rest of the network; hooks are plain functions, for the same reason. Buffers are
no modules, which an `nn.Sequential` would run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from orchestrator_qat.places import Places
from orchestrator_qat.rounding import RoundedWeights, rounded

__all__ = ["Ranges", "first_ranges", "ranges_of", "rounding"]

# "module:in" or "module:out" → lowest and highest value.
Ranges = dict[str, list[float]]

_IN, _OUT = "range_in_", "range_out_"


def first_ranges(network: nn.Module, places: Places, batches: Iterable[Tensor]) -> Ranges:
    """The extremes at each place, of a network in the mode it is in, over batches (B, C, H, W)."""
    found: Ranges = {}
    modules, hooks = dict(network.named_modules()), []

    def widen(place: str, tensor: Tensor) -> None:
        low, high = (value.item() for value in torch.aminmax(tensor))
        known = found.get(place, [low, high])
        found[place] = [min(low, known[0]), max(high, known[1])]

    def looker(place: str) -> Any:
        return lambda module, given, *made: widen(place, made[0] if made else given[0])

    hooks += [modules[n].register_forward_pre_hook(looker(f"{n}:in")) for n in places.inputs]
    hooks += [modules[n].register_forward_hook(looker(f"{n}:out")) for n in places.outputs]
    try:
        with torch.no_grad():
            for batch in batches:
                network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def rounding(network: nn.Module, places: Places, ranges: Mapping[str, Any]) -> Iterator[None]:
    """Round at `places` inside, in these `ranges`.

    In training mode ranges follow what is seen; in eval mode they are used as they are.
    """
    modules = dict(network.named_modules())
    hooks = []
    try:
        for name in places.inputs:
            _remember(network, modules[name], _IN, ranges[f"{name}:in"])
            hooks.append(modules[name].register_forward_pre_hook(_round_in))
        for name in places.outputs:
            _remember(network, modules[name], _OUT, ranges[f"{name}:out"])
            hooks.append(modules[name].register_forward_hook(_round_out))
        for name in places.weights:
            layer = modules[name]
            rounded_weights = RoundedWeights(layer.weight)
            parametrize.register_parametrization(layer, "weight", rounded_weights)
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name in places.weights:
            _plain_weight(modules[name])
        for module in modules.values():
            for side in (_IN, _OUT):
                module._buffers.pop(side, None)


def _remember(network: nn.Module, module: nn.Module, side: str, known: Any) -> None:
    device = next(network.parameters()).device
    module.register_buffer(side, torch.tensor(known, dtype=torch.float32, device=device))


def ranges_of(network: nn.Module) -> Ranges:
    """What was learnt, by the names of places, while `rounding`."""
    found: Ranges = {}
    for name, buffer in network.named_buffers():
        owner, _, side = name.rpartition(".")
        if side in (_IN, _OUT):
            found[f"{owner}:{'in' if side == _IN else 'out'}"] = buffer.tolist()
    return found


def _round_in(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    span: Tensor = module._buffers[_IN]  # type: ignore[assignment]
    return (rounded(given[0], span, learn=module.training), *given[1:])


def _round_out(module: nn.Module, given: tuple[Any, ...], made: Tensor) -> Tensor:
    span: Tensor = module._buffers[_OUT]  # type: ignore[assignment]
    return rounded(made, span, learn=module.training)


def _plain_weight(layer: nn.Module) -> None:
    """Without parametrization, and with its parameters in their order again."""
    if parametrize.is_parametrized(layer, "weight"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        if "bias" in layer._parameters:
            layer._parameters["bias"] = layer._parameters.pop("bias")
