"""Layers that were given other tensors, told of their own size."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

__all__ = ["name_sizes"]


def name_sizes(module: nn.Module) -> None:
    """Make a layer's own account of its size agree with its tensors; others stay as they are."""
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
