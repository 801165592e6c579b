"""What frameworks do differently with the same weights: batch norm's eps, padding at stride 2.

TensorFlow's "SAME" puts the odd pixel of a padding at the end, so that a convolution of stride 2
sees an image of even sides half a place later than PyTorch's symmetric padding does; its batch
norms have eps 1e-3. Weights trained with the one give other answers with the other. torchvision's
MobileNetV3 and EfficientNet B5 to B7 pad symmetrically and have eps 1e-3.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from orchestrator.errors import ConfigError

__all__ = ["CONVENTIONS", "SameConv2d", "check_convention", "follow"]

# The first is what all networks are built with, and never part of an architecture.
CONVENTIONS = ("torch", "tensorflow", "eps-1e-3")


def check_convention(convention: str) -> None:
    """Raise ConfigError unless it is one of `CONVENTIONS`."""
    if convention not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        raise ConfigError(f"space.convention: {convention!r} found, expected one of {known}.")


class SameConv2d(nn.Conv2d):
    """A convolution of stride 2 with TensorFlow's "SAME" padding; the kernel is odd.

    An even side has a pixel less of padding before it, an odd one the symmetric padding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, width, ⌈H/2⌉, ⌈W/2⌉)."""
        (high, wide), (height, width) = self.kernel_size, (_side(x, -2), _side(x, -1))
        padding = (wide // 2 - 1 + width % 2, wide // 2, high // 2 - 1 + height % 2, high // 2)
        x = functional.pad(x, padding)
        x = functional.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)
        return x


def _side(x: Tensor, dim: int) -> int:
    size: object = x.shape[dim]
    if not isinstance(size, Tensor):
        return x.shape[dim]
    with warnings.catch_warnings():
        # Traced sizes are tensors. A traced network's images have one size, only the batch is open.
        warnings.simplefilter("ignore", TracerWarning)
        return int(size)


def follow(network: nn.Module, convention: str) -> nn.Module:
    """`network`, changed in place to `convention`; names, shapes and values of tensors stay."""
    if convention == "torch":
        return network
    for module in list(network.modules()):
        if isinstance(module, _BatchNorm):
            module.eps = 1e-3
        if convention == "tensorflow":
            for name, child in module.named_children():
                if isinstance(child, nn.Conv2d) and _pads_at_stride_2(child):
                    setattr(module, name, _same(child))
    return network


def _pads_at_stride_2(conv: nn.Conv2d) -> bool:
    kernel = conv.kernel_size
    halves = tuple(side // 2 for side in kernel)
    return conv.stride == (2, 2) and conv.padding == halves and all(side % 2 for side in kernel)


def _same(conv: nn.Conv2d) -> SameConv2d:
    with torch.device("meta"):
        same = SameConv2d(
            conv.in_channels,
            conv.out_channels,
            (conv.kernel_size[0], conv.kernel_size[1]),
            (conv.stride[0], conv.stride[1]),
            groups=conv.groups,
            bias=conv.bias is not None,
        )
    same.weight, same.bias = conv.weight, conv.bias
    return same
