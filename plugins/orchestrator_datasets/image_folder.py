"""A folder of one's own images, one sub-folder a class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from orchestrator import ArraySamples, Dataset, PixelRecipe, Samples
from orchestrator.errors import ConfigError, DataError, plural
from orchestrator_datasets.decoded import (
    WHOLE_RANGE,
    Decoded,
    Recipe,
    cache_folder,
    decoded,
    opened,
)
from orchestrator_datasets.decoding import decode as decode_file
from orchestrator_datasets.depth import Depth, check_levels, depth_of
from orchestrator_datasets.left_out import names_of, reasons, skipped_notes, some
from orchestrator_datasets.listing import Listing, SplitOptions, list_splits, uneven
from orchestrator_datasets.on_demand import Found
from orchestrator_datasets.on_demand import found as look
from orchestrator_datasets.splitting import check_shares

__all__ = ["ImageFolder"]

# Of ImageNet's training images, as torchvision's models were trained with.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_NOT_DEEP = Depth(0, WHOLE_RANGE, 0)
_SPLITS = ("train", "validation", "test")


class ImageFolder(Dataset):
    """Files below `root` that Pillow reads: JPEG, PNG, WebP, BMP, GIF, TIFF and others.

    Splits: sub-folders for training, validation and test of `root` are used, whatever their case
    and spelling (`train`, `Training`, `val`, …), where there is one for training; a split that is
    missing is dealt out of that, or out of `root`'s own class folders where there is none: by
    `seed` and the names of files, about the same share of each class, so that a file that is
    added moves no other. `rules` 1 finds and deals as searches did before (see `SplitOptions`).

    Of grey images with more than 8 bits the values from the first to the second of `levels` become
    0 to 255; by default those are found in the data and told in `notes`.

    `per_class` takes the first that many files of each class, by name, into the pool that is
    dealt out; given validation and test folders are read whole. `normalise` "auto" takes mean and
    deviation of the images that weights were trained with (`trained_with`, which a search that
    starts from such weights tells; for as many channels), else of the training images;
    "imagenet" takes those of ImageNet.

    Files that are no readable image are left out and counted in `notes`. Decoded "ahead", images
    are kept below `cache` (by default ORCHESTRATOR_CACHE, or the user's cache folder) and
    memory-mapped, so that processes share them; a file that changes is decoded again. On "demand"
    they are decoded whenever they are read, for what does not fit decoded, and training sees a
    random part of each, `least_area` of it or more. Raises DataError for folders that cannot be a
    dataset.
    """

    name = "image_folder"
    paths = ("root", "cache")
    former: ClassVar[Mapping[str, Any]] = {"rules": 1}

    def __init__(  # noqa: PLR0913 - one argument an option of the YAML file
        self,
        *,
        root: str,
        image_size: int = 64,
        in_channels: Literal[1, 3] = 3,
        seed: int = 0,
        validation_share: float = 0.15,
        test_share: float = 0.15,
        per_class: int | None = None,
        normalise: Literal["auto", "imagenet"] = "auto",
        mirror: bool = True,
        licence: str = "unknown",
        cache: str | None = None,
        decode: Literal["ahead", "demand"] = "ahead",
        least_area: float = 0.35,
        trained_with: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        levels: tuple[int, int] | None = None,
        rules: Literal[1, 2] = 2,
    ) -> None:
        check_shares(validation_share=validation_share, test_share=test_share)
        check_levels(levels)
        _check_options(image_size, in_channels, per_class, normalise)
        self.root = Path(root).expanduser().absolute()
        self.image_size, self.in_channels = image_size, in_channels
        self.mirror, self.licence = mirror, licence
        self.options = SplitOptions(validation_share, test_share, per_class, seed, rules)
        if not 0 < least_area <= 1:
            raise ConfigError(f"dataset.least_area: found {least_area}, expected in (0, 1].")
        self.decode, self.least_area = decode, least_area
        self.cache = cache_folder(cache)
        listing = list_splits(self.root, self.options)
        self.classes = listing.classes
        depth = _depth(self.cache, self.root, listing, levels) if rules > 1 else _NOT_DEEP
        self.levels = depth.levels
        self._decoded = self._decode(listing)
        self._keys = {n: f.key for n, f in self._decoded.items() if isinstance(f, Decoded)}
        for name, found in self._decoded.items():
            _check_complete(name, found, self.classes)
        self.mean, self.deviation = _normalisation(self._decoded["train"], normalise)
        if normalise == "auto" and trained_with and len(trained_with[0]) == in_channels:
            self.mean, self.deviation = trained_with
        unread = reasons(self._decoded.values())
        self.left_out = {**listing.left_out, **unread}
        self.notes = (
            *uneven(self.classes, self._sizes()),
            *listing.notes,
            *depth.notes,
            *skipped_notes(self.root, self._decoded.values()),
        )

    @property
    def pixels(self) -> PixelRecipe:
        """As its files are decoded."""
        return PixelRecipe(self.image_size, self.in_channels, self.levels)

    def split(self, name: Literal["train", "validation", "test"]) -> Samples:
        """The images of one split; decoded ahead, `pixels` is memory-mapped and read-only."""
        if name not in self._decoded:
            kept = opened(self.cache, self._keys[name]) if name in self._keys else None
            if kept is None:  # on demand, another machine, or a cleared cache
                self._decoded = self._decode(list_splits(self.root, self.options))
            else:
                self._decoded[name] = kept
        found = self._decoded[name]
        if isinstance(found, Decoded):
            return ArraySamples(found.pixels, found.labels, self._names.get(name, ()))
        return found.samples

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoded": {}, "_names": {}}

    def _sizes(self) -> list[int]:
        """Readable images of each class, of all splits."""
        labels = np.concatenate([found.labels for found in self._decoded.values()])
        return np.bincount(labels, minlength=len(self.classes)).tolist()  # type: ignore[no-any-return]

    def _decode(self, listing: Listing) -> dict[str, Decoded | Found]:
        if listing.classes != self.classes:
            raise DataError(
                f"the class folders of {self.root} are {', '.join(listing.classes)} here, "
                f"expected {', '.join(self.classes)} as when the run began. Restore the folder."
            )
        recipe = Recipe(self.root, self.image_size, self.in_channels, levels=self.levels)
        if self.decode == "demand":
            area = self.least_area
            return {name: look(self.cache, listing.splits[name], recipe, area) for name in _SPLITS}
        read = partial(decode_file, recipe=recipe.pixels)
        files = listing.splits
        found = {name: decoded(self.cache, files[name], recipe, read) for name in _SPLITS}
        self._names = {name: names_of(files[name], found[name].skipped) for name in _SPLITS}
        return dict(found)


def _depth(cache: Path, root: Path, listing: Listing, levels: tuple[int, int] | None) -> Depth:
    """Of all splits, so that one range holds for all."""
    files = [file for name in _SPLITS for file in listing.splits[name]]
    return depth_of(cache, root, files, levels)


def _check_options(
    image_size: int, in_channels: int, per_class: int | None, normalise: str
) -> None:
    if image_size < 1:
        raise ConfigError(f"dataset.image_size: found {image_size}, expected 1 or more.")
    if per_class is not None and per_class < 1:
        raise ConfigError(f"dataset.per_class: found {per_class}, expected null, or 1 or more.")
    if normalise == "imagenet" and in_channels != 3:
        raise ConfigError(
            f"dataset.normalise: imagenet is for 3 channels, found in_channels {in_channels}. "
            f"Use normalise=auto."
        )


def _check_complete(split: str, found: Decoded | Found, classes: tuple[str, ...]) -> None:
    """Raise DataError if unreadable files emptied a class."""
    counts = np.bincount(found.labels, minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if not count:
            raise DataError(
                f"class {name!r} has no readable image in the {split} split, expected at least "
                f"one; {plural(len(found.skipped), 'file')} could not be read: "
                f"{some(found.skipped)}. "
                f"Replace these files, or remove the class."
            )


def _normalisation(
    train: Decoded | Found, normalise: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if normalise == "imagenet":
        return _IMAGENET
    if min(train.deviation) == 0:
        raise DataError(
            "all training images have one and the same colour, expected something to see. Look "
            "at the files, or at dataset.image_size."
        )
    return train.mean, train.deviation
