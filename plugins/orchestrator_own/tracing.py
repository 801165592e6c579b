"""The groups of channels that a traced network has, and what stands in the way of the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from orchestrator import channel_graph, is_depthwise, mixes_channels, tied_layers
from orchestrator_own.widths import Slot, Width

__all__ = ["Graph", "Traced", "trace"]

_SPLITS = (torch_pruning.ops.OPTYPE.SPLIT, torch_pruning.ops.OPTYPE.UNBIND)
_JOINS = (torch_pruning.ops.OPTYPE.CONCAT, *_SPLITS)
# What a Slot is made of: (tensor, dimension) → which channel each entry is.
Places = dict[tuple[str, int], list[int]]


@dataclass
class Traced:
    """What tracing found: widths without options yet, and why other layers keep their channels."""

    widths: list[Width] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    # Of those, the layers that nothing else may narrow either.
    fixed: list[str] = field(default_factory=list)


class Graph:
    """A dependency graph with the names that the network's modules and parameters have."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        self.graph: Any = channel_graph(network, images)
        self.network = network
        self.names = {module: name for name, module in network.named_modules()}
        self.bare: dict[Any, str] = {
            parameter: name for name, parameter in network.named_parameters()
        }
        self.order = {name: place for place, name in enumerate(self.names.values())}

    def groups(self, ignored: Iterable[nn.Module]) -> Iterator[Any]:
        """Every group of all its channels that gives none of an `ignored` layer."""
        roots = (_ConvNd, nn.Linear)
        yield from self.graph.get_all_groups(
            ignored_layers=list(ignored), root_module_types=list(roots)
        )

    def gives(self, item: Any) -> bool:
        """Whether the channels an item means are those that its layer gives."""
        return bool(self.graph.is_out_channel_pruning_fn(item.dep.handler))

    def name(self, module: Any) -> str | None:
        """The name of a module or bare parameter; None for an operation."""
        return self.bare.get(module) if isinstance(module, Tensor) else self.names.get(module)

    def tied(self, nodes: Iterable[Any]) -> set[nn.Module]:
        """Layers whose channels pass through `nodes`, in part or as a whole."""
        return set(tied_layers(self.graph, nodes, through_joins=True))

    def walk(self, module: nn.Module) -> tuple[set[nn.Module], set[str]]:
        """The layers that read what `module` gives, and the operations on the way."""
        if module not in self.graph.module2node:
            return set(), set()
        waiting = [self.graph.module2node[module]]
        seen, readers, passed = set(waiting), set[nn.Module](), set[str]()
        while waiting:
            for node in waiting.pop().outputs:
                if node in seen:
                    continue
                seen.add(node)
                if mixes_channels(node.module):
                    readers.add(node.module)
                    continue
                passed.add(str(node.name))
                waiting.append(node)
        return readers, passed


def trace(graph: Graph, apart: Iterable[nn.Module]) -> Traced:
    """The groups of channels, apart from those that layers of `apart` give."""
    traced, ignored = Traced(), set(apart)
    for module, reason in _hindered(graph, ignored).items():
        traced.reasons[graph.names[module]] = reason
        traced.fixed.append(graph.names[module])
        ignored.add(module)
    found: list[tuple[Places, Any]] = []
    for items in graph.groups(ignored):
        writers = _writers(graph, items)
        if _is_logits(graph, items):
            traced.reasons.update(dict.fromkeys(writers, "it gives the answer, a logit a class"))
            continue
        places = _places(graph, items)
        if isinstance(places, str):
            traced.reasons.update(dict.fromkeys(writers, places))
            traced.fixed += writers
        else:
            found.append((places, items))
    traced.widths = _bundled(graph, found)
    return traced


def _hindered(graph: Graph, apart: set[nn.Module]) -> dict[nn.Module, str]:
    """Layers whose channels are not free, with the reason."""
    nodes = graph.graph.module2node
    grouped = [module for module in nodes if _is_grouped(module)]
    split = [node for node in nodes.values() if node.type in _SPLITS]
    found = dict[nn.Module, str]()
    for module in graph.tied(nodes[module] for module in grouped):
        found[module] = "a grouped convolution ties its channels to places"
    for module in grouped:
        found[module] = "a grouped convolution, whose groups would lose channels unevenly"
    for module in graph.tied(split) - apart:
        found.setdefault(module, "its channels are split and go different ways")
    return {module: reason for module, reason in found.items() if module not in apart}


def _places(graph: Graph, items: Any) -> Places | str:
    """Where the channels of a group lie; or why that is not known."""
    channels, places = len(items[0].idxs), Places()
    for item in items:
        module = item.dep.target.module
        name = graph.name(module)
        if name is None:
            continue
        if len(set(item.root_idxs)) != channels:
            return "only some of its channels are added to those of other layers"
        dimensions = _dimensions(graph, item, name)
        if dimensions is None:
            return f"{name} ({type(module).__name__}) is no layer that can lose channels"
        for tensor, dimension, size, copies in dimensions:
            roots = places.setdefault((tensor, dimension), [-1] * size)
            for copy in range(copies):
                for entry, root in zip(item.idxs, item.root_idxs, strict=True):
                    place = entry + copy * (size // copies)
                    if place >= size or roots[place] not in (-1, root):
                        return f"it is not known where its channels lie in {tensor}"
                    roots[place] = root
    return places


def _dimensions(graph: Graph, item: Any, name: str) -> list[tuple[str, int, int, int]] | None:
    """(tensor, dimension, its size, how often the channels follow one another in it)."""
    module, gives = item.dep.target.module, graph.gives(item)
    if isinstance(module, nn.Parameter):
        dimension = item.dep.target.pruning_dim % module.dim()
        return [(name, dimension, module.shape[dimension], 1)]
    if isinstance(module, nn.MultiheadAttention):
        return _of_attention(module, name)
    found: list[tuple[str, int, int, int]] = []
    if isinstance(module, (_ConvNd, nn.Linear)):
        transposed = isinstance(module, _ConvTransposeNd)
        both = is_depthwise(module)
        for leaf, tensor in _own(module):
            if leaf == "bias" and not (gives or both):
                continue
            dimension = 0 if leaf == "bias" or both or gives is not transposed else 1
            found.append((f"{name}.{leaf}", dimension, tensor.shape[dimension], 1))
        return found
    normalises = (_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.PReLU)
    if not isinstance(module, normalises):
        return None if _own(module) else []
    for leaf, tensor in _own(module):
        if tensor.dim() and not (isinstance(module, nn.PReLU) and len(tensor) == 1):
            last = tensor.dim() - 1
            found.append((f"{name}.{leaf}", last, tensor.shape[last], 1))
    return found


def _of_attention(module: nn.MultiheadAttention, name: str) -> list[tuple[str, int, int, int]]:
    if module.in_proj_weight is None or module.bias_k is not None:
        return [("", 0, 0, 1)]
    size = module.embed_dim
    found = [
        (f"{name}.in_proj_weight", 0, 3 * size, 3),
        (f"{name}.in_proj_weight", 1, size, 1),
        (f"{name}.out_proj.weight", 0, size, 1),
        (f"{name}.out_proj.weight", 1, size, 1),
    ]
    if module.in_proj_bias is not None:
        found += [(f"{name}.in_proj_bias", 0, 3 * size, 3), (f"{name}.out_proj.bias", 0, size, 1)]
    return found


def _bundled(graph: Graph, found: Sequence[tuple[Places, Any]]) -> list[Width]:
    """Groups that meet in a dimension, as after a concatenation, become one width."""
    bundles: list[list[int]] = []
    for number, (places, _) in enumerate(found):
        met = [b for b in bundles if any(set(places) & set(found[other][0]) for other in b)]
        bundles = [b for b in bundles if b not in met]
        bundles.append(sorted([*(other for b in met for other in b), number]))
    widths = [_width(graph, [found[number] for number in bundle]) for bundle in bundles]
    return sorted(widths, key=lambda width: graph.order[width.name])


def _width(graph: Graph, groups: Sequence[tuple[Places, Any]]) -> Width:
    roots: Places = {}
    sizes, writers, step, start = list[int](), set[str](), 1, 0
    for places, items in groups:
        size = len(items[0].idxs)
        for key, entries in places.items():
            merged = roots.setdefault(key, [-1] * len(entries))
            roots[key] = [start + e if e >= 0 else m for e, m in zip(entries, merged, strict=True)]
        sizes.append(size)
        start += size
        writers |= set(_writers(graph, items))
        step = math.lcm(step, *(m.num_groups for m in _modules(items, nn.GroupNorm)))
    ordered = sorted(writers, key=graph.order.__getitem__)
    slots = tuple(Slot(tensor, dim, tuple(entries)) for (tensor, dim), entries in roots.items())
    return Width(ordered[0], tuple(sizes), slots, tuple(ordered), step=step)


def _modules(items: Any, kind: type[Any]) -> list[Any]:
    return [i.dep.target.module for i in items if isinstance(i.dep.target.module, kind)]


def _writers(graph: Graph, items: Any) -> list[str]:
    """The layers that give a group's channels, in order."""
    found = {
        graph.names[item.dep.target.module]
        for item in items
        if graph.gives(item)
        and isinstance(item.dep.target.module, (_ConvNd, nn.Linear, nn.MultiheadAttention))
    }
    return sorted(found, key=graph.order.__getitem__)


def _is_logits(graph: Graph, items: Any) -> bool:
    return any(graph.gives(item) and not item.dep.target.outputs for item in items)


def _own(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _is_grouped(module: object) -> bool:
    return isinstance(module, _ConvNd) and module.groups > 1 and not is_depthwise(module)
