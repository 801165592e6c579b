"""A folder of one's own images, each with a mask that tells the class of every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from orchestrator import Dataset, PixelRecipe
from orchestrator.errors import ConfigError, DataError
from orchestrator_datasets.decoded import (
    WHOLE_RANGE,
    Decoded,
    Recipe,
    cache_folder,
    decoded,
    opened,
)
from orchestrator_datasets.decoding_masks import IGNORED, decode_pair
from orchestrator_datasets.depth import Depth, check_levels, depth_of
from orchestrator_datasets.left_out import names_of, reasons, skipped_notes, some
from orchestrator_datasets.listing import SplitOptions
from orchestrator_datasets.mask_listing import MaskListing, list_masks, mask_of
from orchestrator_datasets.masks import MaskSamples
from orchestrator_datasets.splitting import check_shares

__all__ = ["MaskFolder"]

_SPLITS = ("train", "validation", "test")
_MOST_CLASSES = 255


class MaskFolder(Dataset):
    """Images in `root`/images and their masks in `root`/masks, or both in train/, val/, test/.

    A mask is a PNG of its image's name and size with one channel, a pixel's value its class;
    `ignore_index` marks pixels that count nowhere; whatever it is, the masks given have 255 there.
    `classes` are names in the order of the values,
    or a text file with one a line, relative to `root`; without them `root`/classes.txt is read if
    it is there, and else the classes are called by their values.

    Splits that are missing are dealt out of train, or of `root`'s own images, by `seed` and the
    names of files; `levels` and `rules` are those of `ImageFolder`. Images
    without a mask and images that cannot be read are left out and counted in `notes`. Images are
    turned upright, the shorter side scaled to `image_size` and the centre cut out, masks alike
    without blending. They are normalised by mean and deviation of what weights were trained with
    (`trained_with`, which a search that starts from such weights tells; for as many channels),
    else of the training images. Raises DataError, naming the file, for a mask of another size
    than its image, for one that is no index mask, and for values that no class has.
    """

    name = "mask_folder"
    paths = ("root", "cache")
    former: ClassVar[Mapping[str, Any]] = {"rules": 1}

    def __init__(  # noqa: PLR0913 - one argument an option of the YAML file
        self,
        *,
        root: str,
        classes: tuple[str | int, ...] | str | None = None,
        ignore_index: int = 255,
        image_size: int = 64,
        in_channels: Literal[1, 3] = 3,
        seed: int = 0,
        validation_share: float = 0.15,
        test_share: float = 0.15,
        mirror: bool = True,
        licence: str = "unknown",
        cache: str | None = None,
        trained_with: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        levels: tuple[int, int] | None = None,
        rules: Literal[1, 2] = 2,
    ) -> None:
        check_shares(validation_share=validation_share, test_share=test_share)
        check_levels(levels)
        _check_options(image_size, ignore_index)
        self.root = Path(root).expanduser().absolute()
        self.image_size, self.in_channels = image_size, in_channels
        self.mirror, self.licence, self.ignore_index = mirror, licence, ignore_index
        self.options = SplitOptions(validation_share, test_share, None, seed, rules)
        self.cache = cache_folder(cache)
        listing = list_masks(self.root, self.options)
        depth = self._depth(listing, levels)
        self.levels = depth.levels
        self._decoded = self._decode(listing)
        self._keys = {name: found.key for name, found in self._decoded.items()}
        self.classes = _names(self.root, classes) or _numbers(self._decoded)
        _check_values(listing, self._decoded, len(self.classes))
        train = self._decoded["train"]
        self.mean = train.mean[:-1]
        self.deviation = train.deviation[:-1]
        if min(self.deviation) == 0:
            raise DataError(
                "all training images have one and the same colour, expected something to see. "
                "Look at the files, or at dataset.image_size."
            )
        if trained_with and len(trained_with[0]) == in_channels:
            self.mean, self.deviation = trained_with
        self.left_out = {**listing.left_out, **reasons(self._decoded.values())}
        unread = skipped_notes(self.root, self._decoded.values())
        self.notes = (*listing.notes, *depth.notes, *unread)

    @property
    def pixels(self) -> PixelRecipe:
        """As its images are decoded."""
        return PixelRecipe(self.image_size, self.in_channels, self.levels)

    def split(self, name: Literal["train", "validation", "test"]) -> MaskSamples:
        """Images and masks uint8 (N, H, W) of one split, memory-mapped and read-only."""
        if name not in self._decoded:
            found = opened(self.cache, self._keys[name])
            if found is None:  # another machine, or a cleared cache
                self._decoded = self._decode(list_masks(self.root, self.options))
            else:
                self._decoded[name] = found
        both = self._decoded[name].pixels
        return MaskSamples(both[:, :-1], both[:, -1], self._names.get(name, ()))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoded": {}, "_names": {}}

    def _depth(self, listing: MaskListing, levels: tuple[int, int] | None) -> Depth:
        """Of the images of all splits, so that one range holds for all."""
        if self.options.rules == 1:
            return Depth(0, WHOLE_RANGE, 0)
        files = [file for name in _SPLITS for file in listing.splits[name]]
        return depth_of(self.cache, self.root, files, levels)

    def _decode(self, listing: MaskListing) -> dict[str, Decoded]:
        """The mask lies behind an image's channels, so that both are kept as one."""
        channels = self.in_channels + 1
        recipe = Recipe(self.root, self.image_size, channels, self.ignore_index, self.levels)
        read = partial(decode_pair, recipe=recipe)
        files = listing.splits
        found = {name: decoded(self.cache, files[name], recipe, read) for name in _SPLITS}
        self._names = {name: names_of(files[name], found[name].skipped) for name in _SPLITS}
        for name, split in found.items():
            if not len(split.pixels):
                raise DataError(
                    f"no image of the {name} split below {self.root} can be read: "
                    f"{some(split.skipped)}. Replace these files."
                )
        return found


def _check_options(image_size: int, ignore_index: int) -> None:
    if image_size < 1:
        raise ConfigError(f"dataset.image_size: found {image_size}, expected 1 or more.")
    if not 0 <= ignore_index <= _MOST_CLASSES:
        raise ConfigError(
            f"dataset.ignore_index: found {ignore_index}, expected 0 to {_MOST_CLASSES}."
        )


def _names(root: Path, given: tuple[str | int, ...] | str | None) -> tuple[str, ...]:
    """The names given, or those of a file; () where there are none."""
    if given is not None and not isinstance(given, str):
        names = tuple(str(name) for name in given)
    else:
        path = root / (given or "classes.txt")
        if given is None and not path.is_file():
            return ()
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"dataset.classes: {path} cannot be read ({error}), expected a text file with one "
                f"class a line, the first that of value 0."
            ) from error
        names = tuple(line.strip() for line in lines if line.strip())
    if not 2 <= len(set(names)) == len(names) <= _MOST_CLASSES:
        raise DataError(
            f"dataset.classes: found {', '.join(names) or 'none'}, expected 2 to {_MOST_CLASSES} "
            f"different names, the first that of value 0."
        )
    return names


def _numbers(splits: dict[str, Decoded]) -> tuple[str, ...]:
    values = np.flatnonzero(sum(_histogram(found.pixels[:, -1]) for found in splits.values()))
    highest = max((int(value) for value in values if value != IGNORED), default=0)
    if highest < 1:
        raise DataError(
            "all masks hold the value 0 alone, beside what is ignored; expected two classes or "
            "more."
        )
    return tuple(str(value) for value in range(highest + 1))


def _histogram(masks: np.ndarray) -> np.ndarray:
    return np.bincount(np.ascontiguousarray(masks).ravel(), minlength=256)


def _check_values(listing: MaskListing, splits: dict[str, Decoded], classes: int) -> None:
    """Raise DataError, naming the file, for a value that is neither a class nor ignored."""
    for name, found in splits.items():
        masks = found.pixels[:, -1]
        values = np.flatnonzero(_histogram(masks))
        wrong = [int(value) for value in values if classes <= value != IGNORED]
        if wrong:
            place = int(np.flatnonzero((masks == wrong[0]).any((1, 2)))[0])
            skipped = set(found.skipped)
            read = [file.path for file in listing.splits[name] if file.path not in skipped]
            raise DataError(
                f"{mask_of(Path(read[place]))} holds the value {wrong[0]}, expected 0 to "
                f"{classes - 1}, or dataset.ignore_index for what is to be ignored. Name more "
                f"classes in dataset.classes, set dataset.ignore_index, or mend the mask."
            )
