"""The image size as a choice: a network may work on smaller images than the dataset's.

The network itself shrinks what it is given, so that one file takes the same images whatever the
resolution, and the shrinking is part of its measured latency.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from orchestrator import Trial
from orchestrator.errors import BuildError

__all__ = ["FULL_RESOLUTIONS", "SMALL_RESOLUTIONS", "Resize", "ask_resolution", "resize", "side_of"]

# Shares of the dataset's image size.
FULL_RESOLUTIONS = (0.5, 0.625, 0.75, 0.875, 1.0)
SMALL_RESOLUTIONS = (0.5, 0.75, 1.0)


def ask_resolution(trial: Trial, ratios: Sequence[float]) -> float:
    """The share of the dataset's image size the network works at, as choice "resolution"."""
    return float(trial.suggest_categorical("resolution", list(ratios)))


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
