"""Images that are decoded whenever they are read, for data sets that do not fit decoded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator import usable_cores
from orchestrator.errors import DataError
from orchestrator_datasets.decoded import Recipe, colour_sums, key_of, statistics
from orchestrator_datasets.decoding import Crop, decode
from orchestrator_datasets.keeping import NUMBERS, TEXTS, keep, kept
from orchestrator_datasets.listing import ImageFile

__all__ = ["FileSamples", "Found", "found"]

# Of the colours of so many images, spread evenly, mean and deviation are taken.
_LOOKED_AT = 2048
_SEEN = {
    "mean": NUMBERS,
    "deviation": NUMBERS,
    "skipped": TEXTS,
    "reasons": TEXTS,
    "digests": TEXTS,
}
# So much of a file's beginning and end tells it from others.
_ENDS_BYTES = 2**14


@dataclass(frozen=True)
class FileSamples:
    """One split, a file a sample; fulfils `Samples`.

    In training a random part of each image is cut out, of at least `least_area` of it, at most a
    third wider than high or the reverse, and scaled to the whole (Szegedy et al. 2015,
    arXiv:1409.4842). `digests` are equal for files of one size that begin and end
    alike. Cost: a millisecond or less an image of 500×400, outside of Python's lock.
    """

    recipe: Recipe
    files: tuple[ImageFile, ...]
    least_area: float
    digests: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def cuts(self) -> bool:
        """Whether training sees parts of images, so that a recipe need not cut them again."""
        return self.least_area < 1

    @property
    def targets(self) -> np.ndarray:
        """Labels int64 (N,)."""
        return np.array([file.label for file in self.files], np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the files, relative to the dataset's root."""
        return tuple(file.path for file in self.files)

    def read(
        self, indices: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decoded now; raises DataError for a file that is no whole image."""
        chosen = [self.files[index] for index in indices]
        crops = [Crop.drawn(rng, self.least_area) if rng else None for _ in chosen]
        shape = (self.recipe.channels, self.recipe.image_size, self.recipe.image_size)
        pixels = np.empty((len(chosen), *shape), np.uint8)
        for place, (file, crop) in enumerate(zip(chosen, crops, strict=True)):
            pixels[place] = self._decoded(file, crop)
        return pixels, np.array([file.label for file in chosen], np.int64)

    def _decoded(self, file: ImageFile, crop: Crop | None) -> np.ndarray:
        path = str(self.recipe.root / file.path)
        found = decode(path, self.recipe.pixels, crop)
        if isinstance(found, str):
            raise DataError(
                f"{path} begins as an image and cannot be decoded: it is {found}. Replace or "
                "remove it, or set dataset.decode=ahead, which leaves such files out."
            )
        return found


@dataclass(frozen=True)
class Found:
    """A split's samples and what was seen of them; `skipped` are files that are no images.

    `reasons` tells of each why.
    """

    samples: FileSamples
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    skipped: tuple[str, ...]
    reasons: tuple[str, ...] = ()

    @property
    def labels(self) -> np.ndarray:
        """Labels int64 (N,)."""
        return self.samples.targets


def found(cache: Path, files: Sequence[ImageFile], recipe: Recipe, least_area: float) -> Found:
    """The samples of `files` that begin as images do; what was seen is kept below `cache`.

    Cost the first time: the head of each file, and some thousand decoded. Raises DataError for a
    cache that cannot be written.
    """
    path = cache / f"{key_of(files, recipe)}.files.json"
    seen = kept(path, _SEEN)
    if seen is None or len(seen["digests"]) + len(seen["skipped"]) != len(files):
        seen = _look(files, recipe)
        keep(path, seen)
    known = {name: tuple(told) for name, told in seen.items()}
    skipped = set(known["skipped"])
    sound = tuple(file for file in files if file.path not in skipped)
    samples = FileSamples(recipe, sound, least_area, known.pop("digests"))
    return Found(samples, **known)


def _look(files: Sequence[ImageFile], recipe: Recipe) -> dict[str, tuple[Any, ...]]:
    paths = [str(recipe.root / file.path) for file in files]
    with ThreadPoolExecutor(usable_cores()) as pool:
        reasons = list(pool.map(recipe.pixels.trouble, paths))
        good = [path for path, reason in zip(paths, reasons, strict=True) if not reason]
        some = good[:: max(1, len(good) // _LOOKED_AT)]
        read = partial(decode, recipe=recipe.pixels)
        images = [image for image in pool.map(read, some) if not isinstance(image, str)]
        digests = tuple(pool.map(_digest, good))
    total = colour_sums(np.stack(images)) if images else np.zeros((2, recipe.channels))
    seen = statistics(total, len(images) * recipe.image_size**2)
    bad = {file.path: why for file, why in zip(files, reasons, strict=True) if why}
    return {
        "mean": tuple(seen["mean"]),
        "deviation": tuple(seen["deviation"]),
        "skipped": tuple(bad),
        "reasons": tuple(bad.values()),
        "digests": digests,
    }


def _digest(path: str) -> str:
    """Of a file's size, beginning and end: the whole would be read for this alone."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _ENDS_BYTES))
        end = file.read()
        file.seek(0)
        told = b"%d " % size + file.read(_ENDS_BYTES) + end
    return hashlib.blake2b(told, digest_size=8).hexdigest()
