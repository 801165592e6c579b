"""A network's layers made as wide as stored tensors say.

Pruning changes layer widths and nothing else, so the stored shapes are the recipe: the space
builds the unpruned network and each layer is resized to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from orchestrator.errors import RunError

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
    for path, module in network.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            stored = weights.get(f"{path}.{name}" if path else name)
            if stored is not None and stored.shape != tensor.shape:
                _resize(module, name, stored)
        _name_sizes(module)


def _resize(module: nn.Module, name: str, stored: Tensor) -> None:
    empty = torch.empty_like(stored)
    old = getattr(module, name)
    is_parameter = isinstance(old, nn.Parameter)
    setattr(module, name, nn.Parameter(empty, old.requires_grad) if is_parameter else empty)


def _name_sizes(module: nn.Module) -> None:
    """Make a layer's own account of its size agree with its tensors."""
    if isinstance(module, _ConvNd):
        _name_convolution(module)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _NormBase):
        tensor = module.weight if module.affine else module.running_mean
        module.num_features = len(tensor) if tensor is not None else module.num_features
    elif isinstance(module, nn.LayerNorm) and module.elementwise_affine:
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.GroupNorm) and module.affine:
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)


def _name_convolution(module: _ConvNd) -> None:
    """Weights are (out, in / groups, …), transposed ones (in, out / groups, …)."""
    first, second = module.weight.shape[:2]
    # One input channel and one group is an ordinary convolution of a grey image.
    if module.groups == module.in_channels > 1:
        fan = module.out_channels // module.in_channels
        module.groups = first if isinstance(module, _ConvTransposeNd) else first // fan
    sizes = first, second * module.groups
    if isinstance(module, _ConvTransposeNd):
        module.in_channels, module.out_channels = sizes
    else:
        module.out_channels, module.in_channels = sizes
