"""Whether images are large enough for the networks that look at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator.errors import plural

__all__ = ["Sides", "sides_of", "small_images"]

# Below it, networks of this total stride keep a place or two of an image. A linear probe of
# EfficientNet-Lite0 with ImageNet's weights knew 21 % of CIFAR-10 at 32 px, 52 % at 48, 67 % at 96.
_LEAST_SIDE = 48
_STRIDE = 32
_SHRINKING = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Sides:
    """Pixels a side of what a network begins with, and places a side of the map it ends with."""

    first: int
    last: int

    @property
    def small(self) -> bool:
        """Whether so little is left of so small an image."""
        return self.first < _LEAST_SIDE and self.last <= math.ceil(self.first / _STRIDE)


class _LargeEnoughError(Exception):
    """Nothing more need be computed."""


@torch.no_grad()
def sides_of(network: nn.Module, shape: Sequence[int]) -> Sides | None:
    """What one black image (C, H, W) is made smaller to; None where it begins large enough.

    Convolutions and poolings that make a map smaller are looked at: not those of a whole map to
    one place, as in squeeze-and-excitation, and not patches merged by other means, as in Swin.
    """
    seen: list[tuple[int, int]] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        before, after = int(inputs[0].shape[-1]), int(output.shape[-1])
        if after < before:
            seen.append((before, after))
        if seen and seen[0][0] >= _LEAST_SIDE:
            raise _LargeEnoughError

    layers = [module for module in network.modules() if isinstance(module, _SHRINKING)]
    handles: list[Any] = [layer.register_forward_hook(hook) for layer in layers]
    try:
        network.eval()(torch.zeros(1, *shape))
    except _LargeEnoughError:
        return None
    finally:
        for handle in handles:
            handle.remove()
    return Sides(seen[0][0], min(after for _, after in seen)) if seen else None


def small_images(found: Sequence[Sides | None], image_size: int, *, trained: bool) -> list[str]:
    """A warning where networks see too little of images of `image_size` px; none where not.

    `trained` says that they start from trained weights.
    """
    small = [sides for sides in found if sides is not None and sides.small]
    if not small:
        return []
    worst = min(small, key=lambda sides: sides.first)
    enough = math.ceil(_LEAST_SIDE * image_size / worst.first)
    lost = "trained weights are worth little" if trained else "networks learn little"
    return [
        f"dataset.image_size: {len(small)} of {plural(len(found), 'network')} looked at began with "
        f"images of {worst.first} px or little more and ended with maps of "
        f"{worst.last}×{worst.last}, expected {_LEAST_SIDE} px or more at a total stride of "
        f"{_STRIDE}, as {lost} on less; set dataset.image_size={enough}, at which all of them keep "
        "to that."
    ]
