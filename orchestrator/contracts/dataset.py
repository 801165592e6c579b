"""A dataset: labelled images in three splits, decoded once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from orchestrator.contracts.images import ImageFacts

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Dataset", "Images", "Split"]

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Images:
    """One split: `pixels` uint8 (N, C, H, W), perhaps memory-mapped, and `labels` int64 (N,)."""

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Dataset(ABC):
    """Images with class labels. The same options and seed give the same splits everywhere.

    Validation drives the search; test is read once, for finalists.
    """

    name: ClassVar[str]
    classes: tuple[str, ...]
    image_size: int
    in_channels: int
    # Of pixels scaled to [0, 1], one number a channel.
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    # Whether a mirrored image keeps its label (not so for digits).
    mirror: bool = True
    licence: str = "unknown"
    # What a user should know: skipped images, an uneven split.
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> ImageFacts:
        """What its images are, apart from the images themselves."""
        return ImageFacts(
            image_size=self.image_size,
            in_channels=self.in_channels,
            classes=tuple(self.classes),
            mean=tuple(self.mean),
            deviation=tuple(self.deviation),
            licence=self.licence,
        )

    @abstractmethod
    def split(self, name: Split) -> Images:
        """The images of one split, decoded."""
