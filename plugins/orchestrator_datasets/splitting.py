"""Stratified splits that depend on the seed and the class sizes alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.errors import ConfigError, DataError

__all__ = ["check_shares", "stratified"]


def check_shares(**shares: float) -> None:
    """Raise ConfigError unless each share is in (0, 1) and something is left for training."""
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ConfigError(f"dataset.{name}: found {share}, expected more than 0, less than 1.")
    if sum(shares.values()) >= 1:
        raise ConfigError(
            f"dataset: {' and '.join(shares)} add up to {sum(shares.values()):g}, expected less "
            f"than 1 so that images are left for training."
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
        if size < len(parts):
            raise DataError(
                f"class {name!r} has {size} images, expected at least {len(parts)} to give one to "
                f"each of {len(parts)} splits. Add images, raise dataset.per_class if it is set, "
                f"or remove the class."
            )
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
