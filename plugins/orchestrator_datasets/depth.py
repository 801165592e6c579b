"""How many of their bits the grey images of a folder use."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator import usable_cores
from orchestrator.errors import ConfigError, DataError, plural
from orchestrator_datasets.decoded import WHOLE_RANGE, Recipe, key_of
from orchestrator_datasets.keeping import keep, kept
from orchestrator_datasets.listing import ImageFile

__all__ = ["Depth", "check_levels", "depth_of"]

# Files that can hold more than 8 bits a channel.
_SUFFIXES = (".png", ".tif", ".tiff", ".pgm", ".pnm", ".ppm", ".jp2", ".j2k")
# Of the values' span: what begins nearer to 0 is taken to begin there.
_NEAR_ZERO = 1 / 16
_PNG, _DEPTH_AT, _COLOUR_AT = b"\x89PNG", 24, 25
# Of a PNG's header: colours, grey with alpha, colours with alpha.
_NOT_PLAIN_GREY = (2, 4, 6)


@dataclass(frozen=True)
class Depth:
    """What deep images there are: grey ones, the levels that become 0 to 255, and coloured ones.

    Pillow gives the upper 8 bits of coloured ones, and nothing else can be had of it.
    """

    grey: int
    levels: tuple[int, int]
    coloured: int

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know."""
        low, high = self.levels
        told = []
        if self.grey:
            told.append(
                f"{plural(self.grey, 'grey image')} of more than 8 bits: values {low} to {high} "
                "become 0 to 255 (dataset.levels=[LOW,HIGH] says otherwise)"
            )
        if self.coloured:
            told.append(
                f"{plural(self.coloured, 'colour image')} of 16 bits a channel: the upper 8 are "
                "read; if they are dark, save them with 8 bits"
            )
        return tuple(told)


def check_levels(levels: tuple[int, int] | None) -> None:
    """Raise ConfigError for what are no levels."""
    if levels is None:
        return
    if len(levels) != 2 or not 0 <= levels[0] < levels[1] <= 2**31:
        raise ConfigError(
            f"dataset.levels: found {levels}, expected null, or the darkest and the brightest "
            "value such as [0,4095]."
        )


def depth_of(
    cache: Path, root: Path, files: Sequence[ImageFile], levels: tuple[int, int] | None = None
) -> Depth:
    """What is kept below `cache` of these files, or else is looked at now; `levels` are asked for.

    Without them they are those of as many bits as the largest value needs, or where all values
    lie far from 0 the least and the largest. Cost the first time: the head of each file that may
    be deep, and all of each that is.
    """
    deep = [file for file in files if file.path.lower().endswith(_SUFFIXES)]
    if not deep:
        return Depth(0, levels or WHOLE_RANGE, 0)
    path = cache / f"{key_of(deep, Recipe(root, 0, 0))}.depth.json"
    seen = kept(path, dict.fromkeys(("grey", "low", "high", "coloured"), int))
    if seen is None:
        seen = _look([str(root / file.path) for file in deep])
        with suppress(DataError):  # it is looked at again, and decoding will say what is wrong
            keep(path, seen)
    span = levels or (_span(seen["low"], seen["high"]) if seen["grey"] else WHOLE_RANGE)
    return Depth(seen["grey"], span, seen["coloured"])


def _span(low: int, high: int) -> tuple[int, int]:
    if low <= _NEAR_ZERO * (high - low) or low == high:
        return 0, 2 ** max(8, int(high).bit_length()) - 1
    return low, high


def _look(paths: Sequence[str]) -> dict[str, int]:
    with ThreadPoolExecutor(usable_cores()) as pool:
        ends = [found for found in pool.map(_ends, paths) if found is not None]
        coloured = sum(pool.map(_is_deep_png, paths))
    return {
        "grey": len(ends),
        "low": max(0, min((low for low, _ in ends), default=0)),
        "high": max((high for _, high in ends), default=0),
        "coloured": coloured,
    }


def _ends(path: str) -> tuple[int, int] | None:
    """The least and the largest value of a deep grey image; None for any other file."""
    try:
        with Image.open(path) as image:
            if not image.mode.startswith("I"):
                return None
            values = np.asarray(image)
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever damaged bytes lead them to
        return None
    return int(values.min()), int(values.max())


def _is_deep_png(path: str) -> bool:
    """Whether a PNG file has 16 bits a channel and more channels than one."""
    try:
        with open(path, "rb") as file:
            head = file.read(_COLOUR_AT + 1)
    except OSError:
        return False
    deep = head.startswith(_PNG) and len(head) > _COLOUR_AT and head[_DEPTH_AT] == 16
    return deep and head[_COLOUR_AT] in _NOT_PLAIN_GREY
