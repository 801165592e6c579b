"""Reads image files. These functions stand in cards word for word: Pillow and numpy are enough."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

__all__ = ["FLOATS", "image_suffixes", "read_pixels", "reader_source"]

# Pictures all; others would start programs (EPS) or are no single picture.
FORMATS = (
    *("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB"),
    *("GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF"),
)
# What is said of an image whose values are.
FLOATS = "values are floats"


def image_suffixes() -> frozenset[str]:
    """Suffixes such as ".jpg" of the files that Pillow reads here, pictures all."""
    from PIL import Image

    known = Image.registered_extensions()
    return frozenset(s for s, form in known.items() if form in FORMATS and form in Image.OPEN)


def reader_source() -> str:
    """The text of `read_pixels` and what it needs, for who has numpy and Pillow alone."""
    parts = (coloured_image, decoded_image, opened_image, square_image, read_pixels)
    texts = (inspect.getsource(part).rstrip() for part in parts)
    return "\n\n\n".join([f"FORMATS = {FORMATS!r}", *texts])


def read_pixels(path: str, recipe: Mapping[str, Any], part: Any = None) -> np.ndarray:
    """Pixels uint8 (channels, size, size) of a file, by a recipe as `PixelRecipe.to_json` has it.

    Raises whatever Pillow's decoders do.
    """
    import numpy as np

    size = recipe["size"]
    with open(path, "rb") as file, opened_image(file) as image:
        enough: tuple[int, ...] = (2 * size, 2 * size)
        if part is not None:
            left, top, right, bottom = part.box(*image.size)
            scale = size / min(right - left, bottom - top)
            enough = tuple(-int(-scale * side // 1) for side in image.size)
        decoded = decoded_image(image, enough)
    pixels = np.asarray(square_image(coloured_image(decoded, recipe), size, part))
    return pixels[None] if recipe["channels"] == 1 else pixels.transpose(2, 0, 1)


def opened_image(file: IO[bytes]) -> Image.Image:
    """A picture, not yet decoded; of a JPEG file however large."""
    from PIL import Image, JpegImagePlugin

    Image.init()
    try:
        return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.DecompressionBombError:
        file.seek(0)
        if file.read(3) != b"\xff\xd8\xff":
            raise
        file.seek(0)
        return JpegImagePlugin.JpegImageFile(file)


def decoded_image(image: Image.Image, enough: tuple[int, ...]) -> Image.Image:
    """Upright; of a JPEG image a fraction that is at least `enough` (width, height)."""
    from PIL import Image, ImageOps

    whole = image.width * image.height
    image.draft("RGB", (enough[0], enough[1]))
    # A progressive file is kept whole while it is decoded, at whatever fraction.
    needed = whole if "progressive" in image.info else image.width * image.height
    if Image.MAX_IMAGE_PIXELS and needed > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{needed} pixels")
    return ImageOps.exif_transpose(image)


def coloured_image(image: Image.Image, recipe: Mapping[str, Any]) -> Image.Image:
    """RGB or one grey channel of 8 bits, transparency on white."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would cut deep values off at 255 instead of scaling them.
        low, high = recipe["levels"]
        above = np.clip(np.asarray(image).astype(np.int64), low, high) - low
        image = Image.fromarray((above * 256 // (high - low + 1)).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("values are floats")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    wanted = "RGB" if recipe["channels"] == 3 else "L"
    return image if image.mode == wanted else image.convert(wanted)


def square_image(image: Image.Image, size: int, part: Any = None) -> Image.Image:
    """The centre as large as the shorter side, or `part`, scaled to (size, size)."""
    from PIL import Image

    width, height = image.size
    if part is None and image.size == (size, size):
        return image
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side) if part is None else part.box(width, height)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
