"""The fire module of SqueezeNet: a narrow 1×1 convolution feeds a 1×1 and a 3×3 one.

Iandola et al., "SqueezeNet", 2016, arXiv:1602.07360. The paper concatenates the two expansions.
Here they stay apart as two maps, and what follows has one convolution for each and adds: the same
function with the same weights. So each expansion can be narrower by itself in shared weights,
which a leading slice of a concatenation could not express. The paper has no norms; here batch
norms may follow the convolutions.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from orchestrator import outlined
from orchestrator_spaces.blocks.convolution import activation

__all__ = ["Fire", "FireShape", "JoinedConv", "MapsPool", "activated", "draw"]

Maps = tuple[Tensor, ...]


@outlined
class JoinedConv(nn.Module):
    """The 1×1 convolution of maps laid one after another along the channels.

    A bias, if there is one, belongs to the first part.
    """

    def __init__(self, widths_in: tuple[int, ...], width: int, *, bias: bool = True) -> None:
        super().__init__()
        parts = [
            nn.Conv2d(width_in, width, 1, bias=bias and index == 0)
            for index, width_in in enumerate(widths_in)
        ]
        for part in parts:
            draw(part, fan_in=sum(widths_in))
        self.parts = nn.ModuleList(parts)

    def forward(self, maps: Maps) -> Tensor:
        """As many (B, C_i, H, W) as there are parts → (B, width, H, W)."""
        joined: Tensor
        joined, *others = (part(each) for part, each in zip(self.parts, maps, strict=True))
        for other in others:
            joined = joined + other
        return joined


@outlined
class MapsPool(nn.Module):
    """Maxima of 3×3 places, every second one, of each map; places at the edge are not left out."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, maps: Maps) -> Maps:
        """Each (B, C_i, H, W) → (B, C_i, ⌈(H - 1)/2⌉, ⌈(W - 1)/2⌉)."""
        return tuple(self.pool(each) for each in maps)


@dataclass(frozen=True)
class FireShape:
    """Widths are absolute channel counts, `widths_in` those of the maps that come in.

    `bypass` adds what comes in to what goes out; both need the same widths. `norm` puts a batch
    norm after each convolution.
    """

    widths_in: tuple[int, ...]
    squeeze: int
    expand1: int
    expand3: int
    activation: str
    norm: bool = False
    bypass: bool = False


@outlined
class Fire(nn.Module):
    """Squeeze by 1×1; expand by 1×1 and by 3×3; the two expansions stay apart."""

    def __init__(self, shape: FireShape) -> None:
        super().__init__()
        squeeze, plain = shape.squeeze, not shape.norm
        style = (shape.activation, shape.norm)
        joined = JoinedConv(shape.widths_in, squeeze, bias=plain)
        self.squeeze = activated(joined, squeeze, *style)
        expand1 = nn.Conv2d(squeeze, shape.expand1, 1, bias=plain)
        expand3 = nn.Conv2d(squeeze, shape.expand3, 3, padding=1, bias=plain)
        draw(expand1, fan_in=squeeze)
        draw(expand3, fan_in=9 * squeeze)
        self.expand1 = activated(expand1, shape.expand1, *style)
        self.expand3 = activated(expand3, shape.expand3, *style)
        self.bypass = shape.bypass

    def forward(self, maps: Maps) -> Maps:
        """Maps (B, C_i, H, W) → (B, expand1, H, W) and (B, expand3, H, W)."""
        squeezed = self.squeeze(maps)  # (B, squeeze, H, W)
        expanded = (self.expand1(squeezed), self.expand3(squeezed))
        if not self.bypass:
            return expanded
        return tuple(new + old for new, old in zip(expanded, maps, strict=True))

    def extra_repr(self) -> str:
        """Whether there is a bypass, which no parameter tells."""
        return f"bypass={self.bypass}"


def activated(conv: nn.Conv2d | JoinedConv, width: int, act: str, norm: bool) -> nn.Sequential:
    """`conv` of `width` outputs and `act`; a batch norm in between if `norm`, as it has no bias.

    The name of `conv` tells which, as weights before a norm are none for a place without.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if norm:
        layers["unbiased"] = conv
        layers["norm"] = nn.BatchNorm2d(width)
    else:
        layers["conv"] = conv
    layers["activation"] = activation(act)
    return nn.Sequential(layers)


def draw(conv: nn.Conv2d, *, fan_in: int) -> None:
    """Uniform weights of variance 2/fan_in, biases 0: without norms, depth must not shrink signals.

    He et al. 2015, arXiv:1502.01852; `fan_in` counts all inputs of one output.
    """
    conv.apply(partial(_uniform, bound=math.sqrt(6 / fan_in)))


def _uniform(conv: nn.Module, bound: float) -> None:
    assert isinstance(conv, nn.Conv2d)
    nn.init.uniform_(conv.weight, -bound, bound)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
