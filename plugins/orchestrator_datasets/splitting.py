"""Splits by the names of files and the seed, or by the sizes of classes and the seed."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from orchestrator.errors import ConfigError, DataError, plural

__all__ = ["check_shares", "dealt_by_name", "stratified"]


def check_shares(**shares: float) -> None:
    """Raise ConfigError unless each share is in (0, 1) and something is left for training."""
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ConfigError(f"dataset.{name}: found {share}, expected more than 0, less than 1.")
    if sum(shares.values()) >= 1:
        raise ConfigError(
            f"dataset: {' and '.join(shares)} add up to {sum(shares.values()):g}, expected less "
            "than 1 so that images are left for training."
        )


def dealt_by_name(
    names: Sequence[Sequence[str]], shares: Mapping[str, float], seed: int, classes: Sequence[str]
) -> list[list[np.ndarray]]:
    """Deal each class out by what its files are called, so that an added file moves no other.

    `names` are those of each of `classes`, `shares` of what splits. Returns per split (the rest
    last), per class, the sorted indices within the class. A split's size is only about its share.
    A split that gets no file of a class takes one of the largest part; one that is added later may
    take its place. Raises DataError for a class that cannot give an image to every split.
    """
    parts: list[list[np.ndarray]] = [[] for _ in range(len(shares) + 1)]
    for files, name in zip(names, classes, strict=True):
        _check_enough(len(files), len(parts), name)
        drawn = np.array([_drawn(file, str(seed)) for file in files])
        ends = np.cumsum(list(shares.values()))
        of = np.searchsorted(ends, drawn, side="right")
        for number, split in enumerate((*shares, "train")):
            if not (of == number).any():
                largest = np.flatnonzero(of == np.bincount(of).argmax())
                again = [_drawn(files[int(place)], f"{seed} {split}") for place in largest]
                of[largest[int(np.argmin(again))]] = number
        for number, part in enumerate(parts):
            part.append(np.flatnonzero(of == number))
    return parts


def _drawn(name: str, seed: str) -> float:
    """In [0, 1), by name and seed alone; systems spell accents in two ways."""
    told = f"{seed}\0{unicodedata.normalize('NFC', name)}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(told, digest_size=6).digest(), "big") / 2.0**48


def _check_enough(size: int, parts: int, name: str) -> None:
    if size < parts:
        raise DataError(
            f"class {name!r} has {plural(size, 'image')}, expected at least {parts} to give one to "
            f"each of {plural(parts, 'split')}. Add images, raise dataset.per_class if it is set, "
            "or remove the class."
        )


def stratified(
    sizes: Sequence[int], shares: Sequence[float], seed: int, names: Sequence[str]
) -> list[list[np.ndarray]]:
    """Deal each class out into len(shares) parts and a rest, at least one image each.

    `sizes` holds the number of images of each class in `names`. Returns per part (the rest
    last), per class, the sorted indices within the class. Raises DataError for a class that
    cannot give an image to every part.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[] for _ in range(len(shares) + 1)]
    for size, name in zip(sizes, names, strict=True):
        _check_enough(size, len(parts), name)
        ends = np.cumsum(_counts(size, shares))
        for part, indices in zip(parts, np.split(rng.permutation(size), ends), strict=True):
            part.append(np.sort(indices))
    return parts


def _counts(size: int, shares: Sequence[float]) -> list[int]:
    """How many of `size` images each share gets: at least one, and at least one is left over."""
    counts = [max(1, round(share * size)) for share in shares]
    while sum(counts) >= size:
        counts[counts.index(max(counts))] -= 1
    return counts
