"""A dataset: images and their targets in three splits, read by index."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.pixels import PixelRecipe
from orchestrator.errors import DataError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ArraySamples", "Dataset", "Images", "Samples", "Split", "samples_of"]

Split = Literal["train", "validation", "test"]


@runtime_checkable
class Samples(Protocol):
    """One split, read by index; `read` is called from several threads at once.

    One that knows all its targets without reading images has them as `targets` (N, …) too. One
    whose `read` cuts images out at random may say so by `cuts`; training then does not cut again.
    One that reads files may have their `names`, one a sample, by which a resumed search tells what
    has changed, and `digests`, texts that are equal for equal images.
    """

    def __len__(self) -> int:
        """How many samples there are."""

    def read(
        self, indices: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels uint8 (B, C, H, W) and targets int64 (B, …) of these indices.

        Targets are classes (B,), or masks (B, H, W) of classes with 255 where nothing counts.

        With `rng`, in training, images may be cut out at random; without it the same indices
        always give the same bytes.
        """


@dataclass(frozen=True)
class ArraySamples:
    """Decoded samples: `pixels` uint8 (N, C, H, W), perhaps memory-mapped, `targets` (N, …).

    `names` are those of N files, or empty.
    """

    pixels: np.ndarray
    targets: np.ndarray
    names: Sequence[str] = ()

    @property
    def labels(self) -> np.ndarray:
        """The targets."""
        return self.targets

    def __len__(self) -> int:
        return len(self.targets)

    def read(
        self, indices: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As they are; nothing is random."""
        return self.pixels[indices], self.targets[indices]


class Images(ArraySamples):
    """What `ArraySamples` was called; deprecated."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        warnings.warn(
            "Images(pixels, labels) is now ArraySamples(pixels, targets)",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(pixels, labels)


def samples_of(dataset: Dataset, name: Split) -> Samples:
    """A split's samples, whatever form the dataset gives them in; raises DataError for none."""
    found: Any = dataset.split(name)
    if not isinstance(found, Samples):
        if not (hasattr(found, "pixels") and hasattr(found, "labels")):
            raise DataError(
                f"the {name} split of {dataset.name} is a {type(found).__name__}, expected "
                "samples: something with a length and read(indices, rng), such as ArraySamples."
            )
        warnings.warn(
            f"the {name} split of {dataset.name} has pixels and labels only; return ArraySamples",
            DeprecationWarning,
            stacklevel=2,
        )
        found = ArraySamples(found.pixels, found.labels)
    if not len(found):
        raise DataError(f"the {name} split of {dataset.name} is empty, expected images.")
    samples: Samples = found
    return samples


class Dataset(ABC):
    """Images with their targets. The same options and seed give the same splits everywhere.

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
    # Why files were left out → how many.
    left_out: Mapping[str, int] = MappingProxyType({})
    # Options that are paths: a run keeps them absolute, and may go on with others.
    paths: ClassVar[tuple[str, ...]] = ()
    # Values of options that there were not yet when a run began: what it did then.
    former: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @property
    def pixels(self) -> PixelRecipe | None:
        """How a file becomes what the networks see; None where no file can (not RGB, not grey)."""
        if self.in_channels not in (1, 3):
            return None
        return PixelRecipe(self.image_size, self.in_channels)

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
    def split(self, name: Split) -> Samples:
        """The samples of one split; targets are labels int64 (N,), or what the task learns."""
