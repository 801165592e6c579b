"""Small pictures of images and masks, as data URIs that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["colours", "image_uri", "mask_uri"]

_LEAST_SIDE = 96
_IGNORED = (255, 255, 255)


def colours(count: int) -> list[tuple[int, int, int]]:
    """A colour for each of `count` classes: PASCAL VOC's map, in which the first is black.

    Bit by bit of the class' number, least significant first, into the highest bits of red, green
    and blue, so that neighbours differ most.
    """
    found = []
    for number in range(count):
        channels = [0, 0, 0]
        for place in range(8):
            for channel in range(3):
                bit = (number >> (3 * place + channel)) & 1
                channels[channel] |= bit << (7 - place)
        found.append((channels[0], channels[1], channels[2]))
    return found


def image_uri(pixels: np.ndarray) -> str:
    """Pixels uint8 (C, H, W) of one or three channels as a PNG; more channels: the first."""
    shown = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0]
    return _uri(_enlarged(Image.fromarray(np.ascontiguousarray(shown))))


def mask_uri(mask: np.ndarray, classes: int) -> str:
    """Classes (H, W) as a PNG with a palette; what is no class, the ignore index, is white."""
    palette = [*colours(classes), _IGNORED]
    shown = np.where(mask < classes, mask, classes).astype(np.uint8)
    picture = Image.fromarray(shown)
    picture.putpalette([channel for colour in palette for channel in colour])
    return _uri(_enlarged(picture))


def _enlarged(picture: Image.Image) -> Image.Image:
    """Small pictures by a whole factor, so that a pixel stays a square."""
    factor = max(1, -(-_LEAST_SIDE // max(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)


def _uri(picture: Image.Image) -> str:
    written = io.BytesIO()
    picture.save(written, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
