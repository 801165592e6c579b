"""Which layers of a network share channels, found by tracing it.

The graph is Torch-Pruning's (Fang et al. 2023, DepGraph, arXiv:2301.12900).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

__all__ = ["channel_graph", "is_depthwise", "mixes_channels", "tied_layers"]

_JOINS = (torch_pruning.ops.OPTYPE.CONCAT, torch_pruning.ops.OPTYPE.SPLIT)


def channel_graph(network: nn.Module, images: Tensor) -> Any:
    """The dependency graph of `network`, which stays as it is; `images` (B, C, H, W).

    A `torch_pruning.DependencyGraph`; `graph.module2node` has the node of each layer. Raises what
    the tracer raises where it cannot follow.
    """
    asked = {parameter: parameter.requires_grad for parameter in network.parameters()}
    network.requires_grad_(True)  # the tracer follows autograd's graph
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            # Bare parameters (layer scale) are found by Torch-Pruning itself; it warns of each.
            warnings.filterwarnings("ignore", message="Unwrapped parameters detected")
            return torch_pruning.DependencyGraph().build_dependency(
                network, images, forward_fn=_forward, verbose=False
            )
    finally:
        for parameter, wanted in asked.items():
            parameter.requires_grad_(wanted)


def tied_layers(
    graph: Any, nodes: Iterable[Any], *, through_joins: bool = False
) -> list[nn.Module]:
    """Layers whose channels are those of `nodes`, all or some of them, in the order of tracing.

    Depthwise convolutions that follow one, and gates that weight its channels. Torch-Pruning would
    find that out by itself, but through a chain of concatenations or channel splits its search
    takes exponential time: half a minute for a small ShuffleNetV2, without end for ShuffleNetV1.
    The parts of a concatenation have channels of their own, so it leads back to them only
    `through_joins`.
    """
    waiting, found = list(nodes), dict[nn.Module, None]()
    seen = set(waiting)
    while waiting:
        for node in _neighbours(waiting.pop(), through_joins):
            if node in seen:
                continue
            seen.add(node)
            waiting.append(node)
            if isinstance(node.module, (_ConvNd, nn.Linear)):
                found[node.module] = None
    return list(found)


def mixes_channels(module: object) -> bool:
    """Whether each channel that a layer gives is made of all that it reads."""
    return isinstance(module, (_ConvNd, nn.Linear)) and not is_depthwise(module)


def is_depthwise(module: object) -> bool:
    """Whether a layer is a convolution of each channel by itself."""
    return isinstance(module, _ConvNd) and module.groups == module.out_channels > 1


def _neighbours(node: Any, through_joins: bool) -> list[Any]:
    """Nodes with an output that has the channels of this one's, all or some of them."""
    after = [output for output in node.outputs if not mixes_channels(output.module)]
    stops = mixes_channels(node.module) or (node.type in _JOINS and not through_joins)
    return after if stops else [*after, *node.inputs]


def _forward(network: nn.Module, images: Tensor) -> Tensor:
    """Given to the tracer, which else tries network(*images) first: an image without a batch."""
    logits: Tensor = network(images)
    return logits
