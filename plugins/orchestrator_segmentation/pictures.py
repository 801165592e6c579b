"""Small pictures of masks, as data URIs that a page can hold."""

from __future__ import annotations

import numpy as np
from PIL import Image

from orchestrator import picture_uri

__all__ = ["colours", "mask_uri"]

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


def mask_uri(mask: np.ndarray, classes: int) -> str:
    """Classes (H, W) as a PNG with a palette; what is no class, the ignore index, is white."""
    palette = [*colours(classes), _IGNORED]
    shown = np.where(mask < classes, mask, classes).astype(np.uint8)
    picture = Image.fromarray(shown)
    picture.putpalette([channel for colour in palette for channel in colour])
    return picture_uri(picture)
