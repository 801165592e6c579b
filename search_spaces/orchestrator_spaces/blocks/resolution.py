"""A network may work on smaller images than the dataset's.

The network itself shrinks what it is given, so that one file takes the same images whatever the
resolution, and the shrinking is part of its measured latency.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from orchestrator.errors import BuildError

__all__ = ["ImageShape", "Resize", "resize", "side_of"]


def side_of(image_size: int, resolution: float, *, least: int, multiple: int = 1) -> int:
    """Pixels a side the network works at: a multiple of `multiple`, never above `image_size`.

    Raises BuildError below `least`, the network's total stride.
    """
    side = int(image_size * resolution) // multiple * multiple
    if side < least:
        raise BuildError(
            f"images of {image_size} px found, at least {round(least / resolution)} px expected "
            f"for a total stride of {least} at resolution {resolution:g}. Choose a larger "
            "dataset.image_size."
        )
    return side


class Resize(nn.Module):
    """Bilinear resizing to side × side pixels."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, side, side)."""
        return functional.interpolate(x, (self.side, self.side), mode="bilinear")

    def extra_repr(self) -> str:
        """The side, so that networks of two resolutions are told apart."""
        return f"side={self.side}"


def resize(image_size: int, side: int) -> nn.Module:
    """What brings images of `image_size` to `side`; nothing where they are equal."""
    return nn.Identity() if image_size == side else Resize(side)


@dataclass(frozen=True)
class ImageShape:
    """Images of `size` px, which the network resizes to `side` px."""

    in_channels: int
    size: int
    side: int

    def resize(self) -> nn.Module:
        """What brings an image to the size the network works at."""
        return resize(self.size, self.side)
