"""Heads of attention left out whole, in modules that tell where theirs lie.

Such a module has a method `head_layers()`, see `SearchSpace.fixed_layers`, and goes by its
attribute `heads`, their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orchestrator.training.layer_sizes import name_sizes

__all__ = ["Heads", "attention_heads", "head_counts", "name_heads"]


@dataclass(frozen=True)
class Heads:
    """The heads of one attention.

    `slots` are (layer, name of its tensor, dimension): along that dimension lies one head after
    another, an equal part each. `readers` are the layers that read heads, along dimension 1 of
    their weight.
    """

    name: str
    module: nn.Module
    count: int
    slots: tuple[tuple[nn.Module, str, int], ...]
    readers: tuple[nn.Module, ...]

    def keep(self, kept: Sequence[int]) -> None:
        """Leave out all others, in place; `kept` are numbers from 0, in order."""
        for layer, name, dimension in self.slots:
            tensor = getattr(layer, name)
            places = torch.arange(tensor.shape[dimension]).view(self.count, -1)
            chosen = places[list(kept)].flatten().to(tensor.device)
            smaller = tensor.detach().index_select(dimension, chosen).contiguous()
            if isinstance(tensor, nn.Parameter):
                smaller = nn.Parameter(smaller, tensor.requires_grad)
            setattr(layer, name, smaller)
        for layer in {layer: None for layer, _, _ in self.slots}:
            name_sizes(layer)
        vars(self.module)["heads"] = len(kept)


def attention_heads(network: nn.Module) -> list[Heads]:
    """Those of every attention that tells where they lie and goes by their number."""
    return [_heads(name, module) for name, module in _attentions(network)]


def head_counts(network: nn.Module) -> Mapping[nn.Module, tuple[int, int]]:
    """Each attention's number of heads, and how many rows its first layer has for them."""
    return {module: _rows(module) for _, module in _attentions(network)}


def name_heads(before: Mapping[nn.Module, tuple[int, int]]) -> None:
    """After layers were given other tensors: make each attention's number of heads agree."""
    for module, (count, rows) in before.items():
        _, found = _rows(module)
        if found != rows:
            vars(module)["heads"] = count * found // rows


def _attentions(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, module in network.named_modules():
        told = callable(getattr(module, "head_layers", None))
        if told and isinstance(vars(module).get("heads"), int):
            yield name, module


def _rows(module: nn.Module) -> tuple[int, int]:
    outputs, _, count = module.head_layers()  # type: ignore[operator]
    return count, len(next(outputs[0].parameters()))


def _heads(name: str, module: nn.Module) -> Heads:
    outputs, inputs, count = module.head_layers()  # type: ignore[operator]
    own = {
        tensor.data_ptr(): (layer, key, tensor)
        for layer in module.modules()
        for key, tensor in _tensors(layer)
    }
    slots = [_slot(own, tensor, 0) for layer in outputs for _, tensor in _tensors(layer)]
    slots += [_slot(own, layer.get_parameter("weight"), 1) for layer in inputs]
    return Heads(name, module, count, tuple(slots), tuple(inputs))


def _slot(
    own: Mapping[int, tuple[nn.Module, str, Tensor]], seen: Tensor, dimension: int
) -> tuple[nn.Module, str, int]:
    """Where a tensor, or what is seen of it otherwise (a table heads first), lies in the module."""
    layer, name, tensor = own[seen.data_ptr()]
    if tensor.shape != seen.shape:
        size, stride = seen.shape[dimension], seen.stride(dimension)
        alike = zip(tensor.shape, tensor.stride(), strict=True)
        dimension = next(place for place, each in enumerate(alike) if each == (size, stride))
    return layer, name, dimension


def _tensors(layer: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and statistics that have entries of their own for heads."""
    found = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return [(name, tensor) for name, tensor in found if tensor.dim()]
