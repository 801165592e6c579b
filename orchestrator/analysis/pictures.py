"""Small pictures as data URIs that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["image_uri", "picture_uri"]

_LEAST_SIDE = 96


def image_uri(pixels: np.ndarray) -> str:
    """Pixels uint8 (C, H, W) of one or three channels as a PNG; more channels: the first."""
    shown = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0]
    return picture_uri(Image.fromarray(np.ascontiguousarray(shown)))


def picture_uri(picture: Image.Image) -> str:
    """A picture as a PNG; a small one by a whole factor, so that a pixel stays a square."""
    factor = max(1, -(-_LEAST_SIDE // max(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    written = io.BytesIO()
    picture.resize(size, Image.Resampling.NEAREST).save(written, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
