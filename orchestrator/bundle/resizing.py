"""A network's layers made as wide as stored tensors say.

Pruning leaves whole blocks out, which a bundle names, and changes widths, of which the stored
shapes are the recipe: the space builds the unpruned network and each layer is resized to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from orchestrator.errors import RunError
from orchestrator.training.attention_heads import head_counts, name_heads
from orchestrator.training.layer_sizes import name_sizes

__all__ = ["resize"]


def resize(network: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Give every layer the stored shapes, in place; raises RunError, naming `folder`."""
    built = network.state_dict()
    odd = sorted(set(built) ^ set(weights))
    odd += sorted(n for n in set(built) & set(weights) if built[n].ndim != weights[n].ndim)
    if odd:
        raise RunError(
            f"{folder}: weights and architecture do not belong together, for example at {odd[0]}. "
            "Was genotype.json edited, or is the space of another version?"
        )
    heads = head_counts(network)
    for path, module in network.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            stored = weights.get(f"{path}.{name}" if path else name)
            if stored is not None and stored.shape != tensor.shape:
                _resize(module, name, stored)
        name_sizes(module)
    name_heads(heads)


def _resize(module: nn.Module, name: str, stored: Tensor) -> None:
    empty = torch.empty_like(stored)
    old = getattr(module, name)
    is_parameter = isinstance(old, nn.Parameter)
    setattr(module, name, nn.Parameter(empty, old.requires_grad) if is_parameter else empty)
