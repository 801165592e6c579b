"""One image and its mask as one square of bytes, cut and scaled alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from orchestrator.errors import DataError
from orchestrator_datasets.decoded import Recipe
from orchestrator_datasets.decoding import decode
from orchestrator_datasets.mask_listing import mask_of

__all__ = ["IGNORED", "decode_pair"]

# What a decoded mask holds where nothing counts, whatever its file holds there.
IGNORED = 255

# Pillow's names of one channel of bytes, with and without a palette, and of bits.
_INDEXED = ("L", "P", "1")
_ORIENTATION = ExifTags.Base.Orientation
_SIDEWAYS = (5, 6, 7, 8)


def decode_pair(path: str, recipe: Recipe) -> np.ndarray | str:
    """uint8 (channels, image_size, image_size), the mask last; or why there is no image.

    The mask is cut as the image is and scaled to the nearest pixel, so that classes never blend.
    Raises DataError for a mask that cannot be used: that is no accident of one file, as a broken
    image is, but a way of writing masks.
    """
    pixels = decode(path, recipe.pixels)
    if isinstance(pixels, str):
        return pixels
    name = mask_of(Path(path))
    mask, upright = _mask(name), _size(path)
    if mask.size != upright:
        raise DataError(
            f"the mask {name} has {mask.width} × {mask.height} pixels, its image {upright[0]} × "
            f"{upright[1]}; expected the same size. Write the mask again at its image's size."
        )
    values = _square(mask, recipe.image_size)
    if recipe.ignored != IGNORED:
        if (values == IGNORED).any():
            raise DataError(
                f"the mask {name} holds the value {IGNORED}, which is no class' where "
                f"dataset.ignore_index is {recipe.ignored}; expected 0 to {IGNORED - 1}."
            )
        values = np.where(values == recipe.ignored, np.uint8(IGNORED), values)
    return np.concatenate([pixels, values[None]])


def _mask(path: Path) -> Image.Image:
    try:
        with Image.open(path) as mask:
            mask.load()
            found = mask.copy()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever damaged bytes lead them to
        raise DataError(f"the mask {path} cannot be read: {error!r}. Write it again.") from error
    if found.mode not in _INDEXED:
        raise DataError(
            f"the mask {path} has the colour mode {found.mode}, expected one channel of bytes (L "
            f"or P) with a class' number in each pixel. Write masks as indices, not as colours."
        )
    return found


def _size(path: str) -> tuple[int, int]:
    """Width and height of an image once it is upright."""
    with Image.open(path) as image:
        turned = image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
        return (image.height, image.width) if turned else image.size


def _square(mask: Image.Image, size: int) -> np.ndarray:
    """The centre of `mask`, as large as its shorter side, scaled to (size, size) uint8."""
    side = min(mask.size)
    left, top = (mask.width - side) / 2, (mask.height - side) / 2
    # A palette's indices as they are: converting would turn them into colours.
    values = np.asarray(mask, np.uint8)
    grey = Image.fromarray(values)
    box = (left, top, left + side, top + side)
    return np.asarray(grey.resize((size, size), Image.Resampling.NEAREST, box=box))
