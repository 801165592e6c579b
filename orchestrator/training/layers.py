"""A network's layers in order, so that early ones can learn slower than late ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

__all__ = ["depths_of"]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def depths_of(network: nn.Module) -> tuple[int, Mapping[str, int]]:
    """The depth of the last layer, and that of each parameter by name, from 0.

    A layer is a block (of a stage, of a transformer) or what stands alone, such as a stem and a
    classifier, in the order in which the network registers them. What has no weight matrix of its
    own, such as a norm, belongs to the layer before, and what the network itself holds to the
    first.
    """
    depth, depths = -1, dict.fromkeys((n for n, _ in network.named_parameters()), 0)
    for prefix, layer in _layers(network, ""):
        depth += bool(_weights(layer) or depth < 0)
        depths |= {prefix + name: depth for name, _ in layer.named_parameters()}
    return max(depth, 0), depths


def _layers(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """The blocks below `module`, each with the prefix of its parameters' names."""
    for name, child in module.named_children():
        inner = f"{prefix}{name}."
        if _holds_blocks(child) or any(_holds_blocks(part) for part in child.children()):
            yield from _layers(child, inner)
        elif any(True for _ in child.parameters()):
            yield inner, child


def _holds_blocks(module: nn.Module) -> bool:
    """Whether it is a row of blocks: half of its parts have two weight matrices or more."""
    parts = list(module.children())
    blocks = [part for part in parts if _weights(part) > 1]
    return type(module) in _CONTAINERS and bool(blocks) and 2 * len(blocks) >= len(parts)


def _weights(module: nn.Module) -> int:
    """How many weight matrices and kernels it has."""
    return sum(parameter.ndim > 1 for parameter in module.parameters())
