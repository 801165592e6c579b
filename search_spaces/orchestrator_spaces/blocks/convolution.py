"""Convolution, batch norm, activation: what every convolutional family is made of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import nn

from orchestrator import outlined

__all__ = ["ACTIVATIONS", "ConvNorm", "activation", "round_to_8"]

# Name in an architecture → layer. Where a layer can, it overwrites its input, which is nearly
# always a norm's output and needs no copy.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
    "hardswish": partial(nn.Hardswish, inplace=True),
    "silu": partial(nn.SiLU, inplace=True),
    "gelu": nn.GELU,
}


def activation(name: str) -> nn.Module:
    """A new layer; `name` is a key of `ACTIVATIONS`."""
    return ACTIVATIONS[name]()


def round_to_8(width: float) -> int:
    """The nearest multiple of 8, at least 8 and never below 0.9 × `width`.

    `_make_divisible` of the MobileNet papers' released code.
    """
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


@outlined
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
