"""Decoded images on disk: written once, each file whole, then memory-mapped by everybody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from orchestrator import PixelRecipe, WorkingFolder, cache_dir, usable_cores
from orchestrator.errors import DataError, RunError, plural
from orchestrator_datasets.keeping import NUMBERS, TEXTS, kept
from orchestrator_datasets.listing import ImageFile

__all__ = [
    "WHOLE_RANGE",
    "Decoded",
    "Recipe",
    "cache_folder",
    "colour_sums",
    "decoded",
    "key_of",
    "opened",
    "statistics",
]

# To be raised when the same files would be decoded to other bytes.
_VERSION = 1
# Of index.json; 0 had no number.
_FORMAT = 1
_CHUNK = 256
_INDEX = {
    "format": int,
    "mean": NUMBERS,
    "deviation": NUMBERS,
    "skipped": TEXTS,
    "reasons": TEXTS,
}
# The levels of 16 bits, all of them used.
WHOLE_RANGE = (0, 65535)

# path → pixels uint8 (C, H, W), or why there are none
Decode = Callable[[str], "np.ndarray | str"]


@dataclass(frozen=True)
class Recipe:
    """What the decoded bytes depend on beside the files.

    With masks, the last of `channels` is the mask, and `ignored` the value that masks ignore.
    `levels` are those of deep grey images (see `PixelRecipe`).
    """

    root: Path
    image_size: int
    channels: int
    ignored: int | None = None
    levels: tuple[int, int] = WHOLE_RANGE

    @property
    def pixels(self) -> PixelRecipe:
        """From a file to its image's channels."""
        channels = self.channels if self.ignored is None else self.channels - 1
        return PixelRecipe(self.image_size, channels, self.levels)


@dataclass(frozen=True)
class Decoded:
    """Decoded images: `pixels` uint8 (N, C, H, W), memory-mapped, and `labels` int64 (N,).

    `mean` and `deviation` are a channel's, of pixels in [0, 1]; `skipped` names unreadable files,
    and `reasons` tells of each why.
    """

    key: str
    pixels: np.ndarray
    labels: np.ndarray
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    skipped: tuple[str, ...]
    reasons: tuple[str, ...] = ()


def cache_folder(chosen: str | None) -> Path:
    """`chosen`, or else where the environment says that caches go."""
    return (Path(chosen).expanduser() if chosen else cache_dir()) / "images"


def decoded(cache: Path, files: Sequence[ImageFile], recipe: Recipe, decode: Decode) -> Decoded:
    """The decoded `files`, from `cache` if they are there and unchanged.

    Cost: about a millisecond an image and core the first time. Raises DataError for a cache that
    cannot be written.
    """
    key = key_of(files, recipe)
    found = opened(cache, key)
    if found is not None:
        return found
    try:
        _write(cache, key, files, recipe, decode)
        written = opened(cache, key)
    except OSError as error:
        raise DataError(
            f"cannot keep decoded images in {cache}: {error}. {plural(len(files), 'image')} would "
            f"take {_megabytes(files, recipe):.0f} MB there. Free some space, or set dataset.cache "
            "(or ORCHESTRATOR_CACHE) to a folder that can be written."
        ) from error
    if written is None:
        raise DataError(f"decoded images vanished from {cache} while being written. Try again.")
    return written


def opened(cache: Path, key: str) -> Decoded | None:
    """What `decoded` kept under `key`; None if it is not there or damaged.

    Raises RunError for what a newer version kept.
    """
    folder = cache / key
    index = kept(folder / "index.json", _INDEX, {"format": 0, "reasons": []})
    try:
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npy")
    except (OSError, ValueError, EOFError):
        return None
    if index is None:
        return None
    _refuse_newer(folder / "index.json", index.pop("format"))
    of_images = pixels.ndim == 4 and labels.shape == pixels.shape[:1]
    of_channels = of_images and len(index["mean"]) == len(index["deviation"]) == pixels.shape[1]
    # Of before reasons were kept there are none.
    if not of_channels or len(index["reasons"]) != len(index["skipped"]):
        return None
    return Decoded(key, pixels, labels, **{name: tuple(told) for name, told in index.items()})


def _refuse_newer(path: Path, found: int) -> None:
    if found > _FORMAT:
        raise RunError(
            f"{path} has format {found}, this version reads {_FORMAT - 1} and {_FORMAT}: a newer "
            "Orchestrator wrote it. Update, or set dataset.cache to another folder."
        )


def key_of(files: Sequence[ImageFile], recipe: Recipe) -> str:
    """Changes with any file's path, size or time, so that nothing stale is ever read."""
    told = (_VERSION, str(recipe.root), recipe.image_size, recipe.channels)
    masks = () if recipe.ignored is None else (recipe.ignored,)
    # Left out where it is usual, so that what was kept before there were others is still found.
    levels = () if recipe.levels == WHOLE_RANGE else (recipe.levels,)
    digest = hashlib.sha256(repr((*told, *masks, *levels)).encode())
    for file in files:
        line = f"{file.path}\0{file.size_bytes}\0{file.modified_ns}\0{file.label}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:24]


def _write(
    cache: Path, key: str, files: Sequence[ImageFile], recipe: Recipe, decode: Decode
) -> None:
    """Fill a folder of our own, then move its files into place, over what is damaged there.

    Several processes may do the work at once. They write the same bytes and none removes anything,
    so whichever file of whichever process is read, they belong together. What a killed one left
    half done is swept.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with WorkingFolder(key, cache) as part:
        _fill(part, files, recipe, decode)
        (cache / key).mkdir(exist_ok=True)
        for file in part.iterdir():
            file.replace(cache / key / file.name)


def _fill(folder: Path, files: Sequence[ImageFile], recipe: Recipe, decode: Decode) -> None:
    """Plain writes, no memory map: on a full disk a map would kill the process."""
    labels: list[int] = []
    skipped: dict[str, str] = {}
    sums = np.zeros((2, recipe.channels))
    shape = (recipe.channels, recipe.image_size, recipe.image_size)
    with (folder / "pixels.npy").open("wb") as out:
        _header(out, (len(files), *shape))
        for chunk, images in _chunks(files, recipe, decode):
            pairs = list(zip(chunk, images, strict=True))
            kept = [(f, image) for f, image in pairs if not isinstance(image, str)]
            skipped |= {f.path: image for f, image in pairs if isinstance(image, str)}
            if kept:
                pixels = np.stack([image for _, image in kept])
                labels += [file.label for file, _ in kept]
                sums += colour_sums(pixels)
                out.write(pixels.tobytes())
        out.seek(0)
        _header(out, (len(labels), *shape))
    np.save(folder / "labels.npy", np.array(labels, np.int64))
    index = {
        "format": _FORMAT,
        **statistics(sums, len(labels) * recipe.image_size**2),
        "skipped": list(skipped),
        "reasons": list(skipped.values()),
    }
    (folder / "index.json").write_text(json.dumps(index), "utf-8")


def _chunks(
    files: Sequence[ImageFile], recipe: Recipe, decode: Decode
) -> Iterator[tuple[Sequence[ImageFile], list[np.ndarray | str]]]:
    """Pillow decodes outside Python's lock, so threads are enough."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            yield chunk, list(pool.map(decode, [str(recipe.root / f.path) for f in chunk]))


def _header(out: IO[bytes], shape: tuple[int, ...]) -> None:
    """Numpy leaves room for the first dimension, so that it can be corrected afterwards."""
    head = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, head)


def colour_sums(pixels: np.ndarray) -> np.ndarray:
    """Sum and sum of squares of each channel of (N, C, H, W), as (2, C); exact."""
    histograms = [np.bincount(pixels[:, c].ravel(), minlength=256) for c in range(pixels.shape[1])]
    levels = np.arange(256)
    return np.array([[h @ levels for h in histograms], [h @ levels**2 for h in histograms]])


def statistics(sums: np.ndarray, count: int) -> dict[str, list[float]]:
    """Mean and deviation of each channel, of pixels in [0, 1], from `sums` over `count` pixels."""
    mean = sums[0] / max(1, count) / 255
    square = sums[1] / max(1, count) / 255**2
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    return {"mean": mean.tolist(), "deviation": deviation.tolist()}


def _megabytes(files: Sequence[ImageFile], recipe: Recipe) -> float:
    return len(files) * recipe.channels * recipe.image_size**2 / 1e6
