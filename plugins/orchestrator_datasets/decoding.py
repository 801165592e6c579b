"""One image file as a square of bytes, whatever the file's colour mode and orientation."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

__all__ = ["decode"]


def decode(path: str, image_size: int, channels: int) -> np.ndarray | None:
    """Pixels uint8 (C, image_size, image_size); None where there is no readable image.

    Turned upright by its EXIF orientation, transparency on white, shorter side scaled to
    `image_size`, centre cut out. `channels` is 3 for RGB or 1 for grey.
    """
    try:
        with Image.open(path) as image:
            # JPEG only: decode at a fraction of the size, still twice as large as needed.
            image.draft("RGB", (2 * image_size, 2 * image_size))
            upright = ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever damaged bytes lead them to
        return None
    square = _square(_coloured(upright, channels), image_size)
    pixels = np.asarray(square)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _coloured(image: Image.Image, channels: int) -> Image.Image:
    """RGB or one grey channel."""
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow would cut 16 bits off at 255 instead of scaling them.
        levels = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        image = Image.fromarray((levels >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    wanted = "RGB" if channels == 3 else "L"
    return image if image.mode == wanted else image.convert(wanted)


def _square(image: Image.Image, size: int) -> Image.Image:
    """The centre of `image`, as large as its shorter side, scaled to (size, size)."""
    if image.size == (size, size):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
