"""Images that are decoded whenever they are read, for data sets that do not fit decoded."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import DataError
from orchestrator_datasets.decoded import Recipe, colour_sums, key_of, statistics
from orchestrator_datasets.decoding import Crop, decode, is_image
from orchestrator_datasets.listing import ImageFile

__all__ = ["FileSamples", "Found", "found"]

# Of the colours of so many images, spread evenly, mean and deviation are taken.
_LOOKED_AT = 2048


@dataclass(frozen=True)
class FileSamples:
    """One split, a file a sample; fulfils `Samples`.

    In training a random part of each image is cut out, of at least `least_area` of it, at most a
    third wider than high or the reverse, and scaled to the whole (Szegedy et al. 2015,
    arXiv:1409.4842). Cost: a millisecond or less an image of 500×400, outside of Python's lock.
    """

    recipe: Recipe
    files: tuple[ImageFile, ...]
    least_area: float

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
        found = decode(path, self.recipe.image_size, self.recipe.channels, crop)
        if found is None:
            raise DataError(
                f"{path} begins as an image and cannot be decoded. Replace or remove it, or set "
                "dataset.decode=ahead, which leaves such files out."
            )
        return found


@dataclass(frozen=True)
class Found:
    """A split's samples and what was seen of them; `skipped` are files that are no images."""

    samples: FileSamples
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    skipped: tuple[str, ...]

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
    try:
        seen = json.loads(path.read_text("utf-8"))
        known = {name: tuple(seen[name]) for name in ("mean", "deviation", "skipped")}
    except (OSError, ValueError, KeyError, TypeError):
        known = _look(files, recipe)
        _keep(path, known)
    skipped = set(known["skipped"])
    kept = tuple(file for file in files if file.path not in skipped)
    return Found(FileSamples(recipe, kept, least_area), **known)


def _look(files: Sequence[ImageFile], recipe: Recipe) -> dict[str, tuple[Any, ...]]:
    paths = [str(recipe.root / file.path) for file in files]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        sound = list(pool.map(is_image, paths))
        good = [path for path, is_good in zip(paths, sound, strict=True) if is_good]
        some = good[:: max(1, len(good) // _LOOKED_AT)]
        read = partial(decode, image_size=recipe.image_size, channels=recipe.channels)
        images = [image for image in pool.map(read, some) if image is not None]
    total = colour_sums(np.stack(images)) if images else np.zeros((2, recipe.channels))
    seen = statistics(total, len(images) * recipe.image_size**2)
    skipped = [file.path for file, is_good in zip(files, sound, strict=True) if not is_good]
    mean, deviation = tuple(seen["mean"]), tuple(seen["deviation"])
    return {"mean": mean, "deviation": deviation, "skipped": tuple(skipped)}


def _keep(path: Path, known: dict[str, tuple[Any, ...]]) -> None:
    """Whole or not at all; processes that look at once write the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as part:
            json.dump(known, part)
        Path(part.name).replace(path)
    except OSError as error:
        raise DataError(
            f"cannot keep what was seen of images in {path.parent}: {error}. Free some space, or "
            "set dataset.cache (or ORCHESTRATOR_CACHE) to a folder that can be written."
        ) from error
