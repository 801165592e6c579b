"""Modules of attention: which layers write and read their heads, and how whole ones are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import nn

from orchestrator_own.tracing import Graph
from orchestrator_own.widths import Heads, Slot, Width

__all__ = ["Attention", "alone", "attentions", "tied"]

# What modules call the number of their heads.
_COUNTS = ("num_heads", "heads", "n_heads", "nhead", "num_attention_heads")
# Operations that tell attention from other ways between two layers.
_TELLING = ("Softmax", "Attention", "Bmm")


@dataclass(frozen=True)
class Attention:
    """A module with heads: layers that write queries, keys and values, and those that read them.

    `size` channels are all heads together; a writer's may be several times as many.
    """

    module: str
    attribute: str
    heads: int
    size: int
    writers: tuple[str, ...]
    readers: tuple[str, ...]

    @property
    def head_size(self) -> int:
        """Channels of one head."""
        return self.size // self.heads


def attentions(graph: Graph) -> list[Attention]:
    """Every module of attention whose layers are its own."""
    found = []
    for name, module in graph.network.named_modules():
        attribute = next((a for a in _COUNTS if isinstance(getattr(module, a, None), int)), None)
        if attribute is None or not name:
            continue
        if isinstance(module, nn.MultiheadAttention):
            found.append(Attention(name, attribute, module.num_heads, module.embed_dim, (), ()))
            continue
        one = _inside(graph, name, module, attribute)
        if one is not None:
            found.append(one)
    return found


def _inside(graph: Graph, name: str, module: nn.Module, attribute: str) -> Attention | None:
    own = {layer for layer in module.modules() if isinstance(layer, nn.Linear)}
    writers, readers = set[nn.Linear](), set[nn.Linear]()
    for layer in own:
        reading, passed = graph.walk(layer)
        attends = any(word in operation for operation in passed for word in _TELLING)
        if reading and reading <= own and attends:
            writers.add(layer)
            readers |= {reader for reader in reading if isinstance(reader, nn.Linear)}
    sizes, heads = {reader.in_features for reader in readers}, getattr(module, attribute)
    if len(sizes) != 1 or heads < 1 or readers & writers:
        return None
    size = sizes.pop()
    if size % heads or any(layer.out_features % size for layer in writers):
        return None
    names = [tuple(sorted(graph.names[layer] for layer in found)) for found in (writers, readers)]
    return Attention(name, attribute, heads, size, *names)


def alone(attention: Attention, network: nn.Module) -> Width:
    """Heads of one module as a width of its own: the stream it reads and writes stays."""
    heads = Heads(attention.module, attention.attribute, attention.head_size)
    return Width(
        attention.module,
        (attention.size,),
        tuple(_slots(attention, network)),
        attention.writers,
        heads=(heads,),
        step=attention.head_size,
    )


def tied(width: Width, inside: list[Attention], network: nn.Module) -> Width:
    """A stream with the heads of all attention that reads it: head i is of its i-th part.

    For modules that divide the channels they are given among their heads.
    """
    slots, heads, step = list(width.slots), list(width.heads), width.step
    for attention in inside:
        slots += _slots(attention, network)
        heads.append(Heads(attention.module, attention.attribute, attention.head_size))
        step = math.lcm(step, attention.head_size)
    return replace(width, slots=tuple(slots), heads=tuple(heads), step=step)


def _slots(attention: Attention, network: nn.Module) -> list[Slot]:
    """Queries, keys and values lie one after another in a layer that writes several."""
    found, channels = [], tuple(range(attention.size))
    for name in attention.writers:
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        roots = channels * (layer.out_features // attention.size)
        found.append(Slot(f"{name}.weight", 0, roots))
        if layer.bias is not None:
            found.append(Slot(f"{name}.bias", 0, roots))
    found += [Slot(f"{name}.weight", 1, channels) for name in attention.readers]
    return found
