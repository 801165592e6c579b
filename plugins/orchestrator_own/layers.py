"""What else can change: kernels of depthwise layers, activations, and the images' size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

__all__ = [
    "RESOLUTIONS",
    "Kernel",
    "activation_kinds",
    "activations",
    "at_side",
    "kernels",
    "options_of",
    "shrink",
    "with_activations",
]

# Shares of the images' side that a network may work at.
RESOLUTIONS = (0.5, 0.75, 1.0)
# What may stand in for an activation of each kind: much alike, and as cheap or cheaper.
_INSTEAD: Mapping[str, tuple[str, ...]] = {
    "relu": ("hardswish",),
    "relu6": ("relu", "hardswish"),
    "hardswish": ("relu",),
    "silu": ("hardswish", "relu"),
    "gelu": ("relu", "hardswish"),
    "leaky_relu": ("relu",),
    "elu": ("relu",),
    "mish": ("hardswish", "relu"),
}
_KINDS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "mish": nn.Mish,
}


@dataclass(frozen=True)
class Kernel:
    """A depthwise layer and the sides its kernel may have, ascending; the last is its own."""

    layer: str
    sides: tuple[int, ...]


def kernels(network: nn.Module) -> tuple[list[Kernel], dict[str, str]]:
    """Depthwise layers with kernels above 3×3; and the others with why theirs stays."""
    found, reasons = list[Kernel](), dict[str, str]()
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d) or module.groups < 2:
            continue
        sides = set(module.kernel_size)
        if module.groups != module.out_channels or max(sides) <= 3:
            continue
        if len(sides) > 1 or min(sides) % 2 == 0 or not _padded(module):
            reasons[name] = "its kernel is not square and odd, or its padding not half of it"
            continue
        found.append(Kernel(name, tuple(range(3, sides.pop() + 1, 2))))
    return found, reasons


def _padded(module: nn.Conv2d) -> bool:
    """Whether a smaller kernel with less padding sees the same places."""
    if isinstance(module.padding, str):
        return module.padding == "same"
    half = tuple(d * (k - 1) // 2 for d, k in zip(module.dilation, module.kernel_size, strict=True))
    return tuple(module.padding) == half


@torch.no_grad()
def shrink(module: nn.Module, side: int) -> None:
    """Keep the centre of a kernel, and padding to match, in place."""
    assert isinstance(module, _ConvNd)
    cut = (module.kernel_size[0] - side) // 2
    if not cut:
        return
    inside = slice(cut, cut + side)
    module.weight = nn.Parameter(module.weight[..., inside, inside].contiguous())
    module.kernel_size = (side,) * 2
    if not isinstance(module.padding, str):
        module.padding = tuple(d * (side - 1) // 2 for d in module.dilation)
    # What non-zero padding is computed with.
    module._reversed_padding_repeated_twice = [
        d * (side - 1) // 2 for d in reversed(module.dilation) for _ in range(2)
    ]


def activations(network: nn.Module) -> dict[str, str]:
    """Module name → kind, of every activation that is a module of a known kind."""
    names = {kind: name for name, kind in _KINDS.items()}
    return {
        name: names[type(module)]
        for name, module in network.named_modules()
        if type(module) in names
    }


def activation_kinds(found: Mapping[str, str]) -> list[str]:
    """The kinds that occur, in the order of the table."""
    return [kind for kind in _KINDS if kind in set(found.values())]


def options_of(kind: str) -> list[str]:
    """What an activation may be, its own kind first."""
    return [kind, *_INSTEAD[kind]]


def with_activations(network: nn.Module, wanted: Mapping[str, str]) -> None:
    """Module name → kind, in place."""
    for name, kind in wanted.items():
        old: Any = network.get_submodule(name)
        if type(old) is not _KINDS[kind]:
            made: Any = _KINDS[kind]
            inplace = getattr(old, "inplace", False)
            network.set_submodule(
                name, made(inplace=True) if inplace and kind != "gelu" else made()
            )


def at_side(network: nn.Module, side: int) -> nn.Module:
    """The network on images that it first shrinks to side × side pixels.

    Its class is one of its own below the user's, so that names, parts and methods stay.
    """
    plain: Any = type(network)

    def forward(self: nn.Module, images: Tensor) -> Any:
        """(B, C, H, W) → what the network gives for (B, C, side, side)."""
        return plain.forward(self, functional.interpolate(images, (side, side), mode="bilinear"))

    network.__class__ = type(f"{plain.__name__}At{side}", (plain,), {"forward": forward})
    return network
