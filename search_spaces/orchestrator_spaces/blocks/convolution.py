"""Convolution, batch norm, activation: what every convolutional family is made of."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["ACTIVATIONS", "ConvNorm", "round_to_8"]

# Name in an architecture → layer. All may overwrite the batch norm's output, which needs no copy.
ACTIVATIONS = {"relu": nn.ReLU, "hardswish": nn.Hardswish}


def round_to_8(width: float) -> int:
    """The nearest multiple of 8, at least 8 and never below 0.9 × `width`.

    `_make_divisible` of the MobileNet papers' released code.
    """
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class ConvNorm(nn.Sequential):
    """(B, C, H, W) → (B, width, ⌈H/stride⌉, ⌈W/stride⌉) with padding kernel // 2.

    Children are called conv, norm and, if there is one, activation.
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        activation: nn.Module | None = None,
    ) -> None:
        conv = nn.Conv2d(
            width_in, width, kernel, stride, padding=kernel // 2, groups=groups, bias=bias
        )
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, norm=nn.BatchNorm2d(width))
        if activation is not None:
            layers["activation"] = activation
        super().__init__(layers)
