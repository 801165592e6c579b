"""Small pictures as data URIs that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["enlarged", "image_uri", "picture_of", "picture_uri", "png_uri"]

_LEAST_SIDE = 96


def image_uri(pixels: np.ndarray) -> str:
    """Pixels uint8 (C, H, W) of one or three channels as a PNG; more channels: the first."""
    return picture_uri(picture_of(pixels))


def picture_uri(picture: Image.Image) -> str:
    """A picture as a PNG; a small one by a whole factor, so that a pixel stays a square."""
    return png_uri(enlarged(picture, _LEAST_SIDE))


def picture_of(pixels: np.ndarray) -> Image.Image:
    """Pixels uint8 (C, H, W): in colours where there are three channels, else the first."""
    shown = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0]
    return Image.fromarray(np.ascontiguousarray(shown))


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """A picture whose longer side is less than `side` pixels by the whole factor that it needs."""
    factor = max(1, -(-side // max(picture.size)))
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)


def png_uri(picture: Image.Image) -> str:
    """A picture as a PNG, as large as it is."""
    written = io.BytesIO()
    picture.save(written, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
