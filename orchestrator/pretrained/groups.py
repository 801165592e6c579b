"""Which dimensions of a network's tensors are the same channels, and how much each one matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from orchestrator.training.channel_graph import channel_graph, is_depthwise, tied_layers

__all__ = ["Group", "channel_groups", "head_groups"]


@dataclass
class Group:
    """Channels that several tensors share, and the tensors' dimensions where they lie.

    `places` are (tensor, dimension, positions): row r of the positions, (channels, n), is where
    channel r lies in that dimension. `importance` is (channels,).
    """

    name: str
    importance: Tensor
    places: list[tuple[Tensor, int, Tensor]] = field(default_factory=list)

    def sort(self) -> None:
        """Put the most important channel first, in place; equal ones keep their order."""
        self._permute(self._order())

    def undo(self) -> None:
        """Take `sort` back."""
        self._permute(torch.argsort(self._order()))

    def _order(self) -> Tensor:
        return torch.argsort(self.importance, descending=True, stable=True)

    def _permute(self, order: Tensor) -> None:
        for tensor, dimension, positions in self.places:
            index = torch.arange(tensor.shape[dimension])
            index[positions.flatten()] = positions[order].flatten()
            tensor.copy_(tensor.index_select(dimension, index))


def channel_groups(
    network: nn.Module, fixed: Sequence[nn.Module], image: Tensor
) -> tuple[list[Group], list[str]]:
    """The groups of channels that may change their order, and the names of those that may not.

    `network` in eval mode, `image` (1, C, H, W). A group is left out where it holds logits or the
    channels of a `fixed` layer, where grouped convolutions tie channels to places, and where the
    graph does not know each channel's place in a layer.
    """
    graph = channel_graph(network, image)
    kept = {module for layer in fixed for module in layer.modules()}
    kept.update(tied_layers(graph, [graph.module2node[m] for m in kept if m in graph.module2node]))
    names = {module: name for name, module in network.named_modules()}
    found, left = list[Group](), list[str]()
    for parts in graph.get_all_groups(ignored_layers=list(kept)):
        if any(not part.dep.target.outputs for part in parts if _gives(graph, part)):
            continue  # of logits
        name = names[parts[0].dep.target.module]
        group = _group(graph, parts, name)
        if group is None:
            left.append(name)
        else:
            found.append(group)
    still = [names[m] for m in kept if isinstance(m, (_ConvNd, nn.Linear)) and m in names]
    return found, [*sorted(still), *left]


def head_groups(network: nn.Module) -> list[Group]:
    """Heads of attention, whole, of modules that say where theirs lie.

    Such a module has a method `head_layers()` that gives (layers whose outputs are heads, layers
    that read them, number of heads), all of a head's channels next to one another.
    """
    found = []
    for name, module in network.named_modules():
        layers = getattr(module, "head_layers", None)
        if callable(layers):
            found.append(_heads(name, *layers()))
    return found


def _heads(
    name: str, outputs: Sequence[nn.Module], inputs: Sequence[nn.Module], count: int
) -> Group:
    group = Group(name, torch.zeros(count))
    for layer in outputs:
        for tensor in _tensors(layer):
            group.places.append((tensor, 0, torch.arange(len(tensor)).view(count, -1)))
    for layer in inputs:
        weight = layer.get_parameter("weight").data
        positions = torch.arange(weight.shape[1]).view(count, -1)
        group.places.append((weight, 1, positions))
        group.importance += _read(weight)[positions].sum(1)
    return group


def _group(graph: Any, parts: Any, name: str) -> Group | None:
    """None where one of the layers cannot follow."""
    channels = len(parts[0].idxs)
    group = Group(name, torch.zeros(channels))
    for part in parts:
        target, gives = part.dep.target, _gives(graph, part)
        if target.module is None or not _has_tensors(target.module):
            continue
        touched = _touched(target, gives=gives)
        positions = _positions(part, channels)
        if touched is None or positions is None:
            return None
        if any(int(positions.max()) >= tensor.shape[dim] for tensor, dim in touched):
            return None
        group.places += [(tensor, dim, positions) for tensor, dim in touched]
        if not gives:
            group.importance += _read(target.module.weight.data)[positions].sum(1)
    return group


def _positions(part: Any, channels: int) -> Tensor | None:
    """(channels, n): where each channel lies; None unless all lie in as many places."""
    places: list[list[int]] = [[] for _ in range(channels)]
    for place, root in sorted(zip(part.idxs, part.root_idxs, strict=True)):
        places[root].append(place)
    if len({len(row) for row in places}) > 1 or not places[0]:
        return None
    return torch.tensor(places)


def _touched(target: Any, *, gives: bool) -> list[tuple[Tensor, int]] | None:
    """A layer's tensors with the dimension that holds the channels; None if they cannot move."""
    module = target.module
    if isinstance(module, nn.Parameter):
        return [(module.data, target.pruning_dim)]
    if isinstance(module, (nn.Linear, _ConvNd)) and not isinstance(module, _ConvTransposeNd):
        if getattr(module, "groups", 1) > 1 and not is_depthwise(module):
            return None
        if gives:
            return [(tensor, 0) for tensor in _tensors(module)]
        return [(module.weight.data, 1)]
    if isinstance(module, (_BatchNorm, nn.LayerNorm)) and len(module.weight.shape) == 1:
        return [(tensor, 0) for tensor in _tensors(module)]
    return None


def _tensors(module: nn.Module) -> list[Tensor]:
    """Parameters and statistics, one entry or row a channel."""
    found = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return [tensor.data for tensor in found if tensor.dim()]


def _has_tensors(module: Any) -> bool:
    return isinstance(module, nn.Parameter) or bool(_tensors(module))


def _gives(graph: Any, part: Any) -> bool:
    """Whether the layer's outputs are meant; a depthwise convolution gives what it reads."""
    return bool(graph.is_out_channel_pruning_fn(part.dep.handler))


def _read(weight: Tensor) -> Tensor:
    """(inputs,): the L1 norm of what reads each input."""
    return weight.abs().transpose(0, 1).flatten(1).sum(1)
