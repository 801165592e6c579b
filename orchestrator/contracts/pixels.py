"""From an image file to the pixels that networks see: one recipe, told as data.

A dataset owns it, a finalist's folder carries it, and training, `predict`, MLflow and the lines of
a card read files by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from orchestrator.contracts.pixel_reading import FLOATS, opened_image, read_pixels
from orchestrator.errors import DataError, RunError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CutOut", "PixelRecipe"]

_DEEPEST = 65535
# What the reader does whatever the recipe; a folder that says otherwise is of a later version.
_FIXED = {"turned": "upright", "cut": "centre", "filter": "bilinear", "background": "white"}


class CutOut(Protocol):
    """A part of an image, for training: `box` gives left, top, right and bottom in pixels."""

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Where it lies in an image of that size."""


@dataclass(frozen=True)
class PixelRecipe:
    """How a file becomes pixels uint8 (channels, size, size).

    Turned upright by its EXIF orientation, transparency on white, the centre cut out as large as
    the shorter side and scaled bilinearly. Of a grey image with more than 8 bits, the values from
    the first to the second of `levels` become 0 to 255; what is beyond is clipped. Of a JPEG file
    much larger than needed a fraction is decoded. `channels` are 3 for RGB, 1 for grey.
    """

    size: int
    channels: int
    levels: tuple[int, int] = (0, _DEEPEST)

    FORMAT: ClassVar[int] = 1

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, what the reader always does included."""
        own = {"size": self.size, "channels": self.channels, "levels": list(self.levels)}
        return {"format": self.FORMAT, **own, **_FIXED}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> PixelRecipe:
        """What `to_json` gave; raises RunError for a recipe that this version cannot follow."""
        try:
            found = {name: stored[name] for name in ("format", *_FIXED)}
            low, high = (int(level) for level in stored["levels"])
            made = cls(int(stored["size"]), int(stored["channels"]), (low, high))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the recipe for pixels is damaged: {error!r}.") from error
        if found != {"format": cls.FORMAT, **_FIXED} or made.channels not in (1, 3) or low >= high:
            raise RunError(
                f"the recipe for pixels is {dict(stored)}, expected format {cls.FORMAT} with "
                f"{_FIXED}. Use the version of Orchestrator that wrote it."
            )
        return made

    @property
    def told(self) -> str:
        """In words, for a card."""
        low, high = self.levels
        deep = f"values {low} to {high} of grey images with more than 8 bits become 0 to 255, "
        return (
            "Of a file: turned upright by its EXIF orientation, transparency on white, "
            f"{'RGB' if self.channels == 3 else 'grey'}, {deep}the centre cut out as large as the "
            f"shorter side and scaled to {self.size} × {self.size} (bilinear)."
        )

    def read(self, path: str, part: CutOut | None = None) -> np.ndarray:
        """Pixels uint8 (channels, size, size) of a file; raises DataError with the reason.

        `part` is scaled to the whole in place of the centre.
        """
        try:
            return read_pixels(path, self.to_json(), part)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever damaged bytes lead them to
            raise DataError(_reason(error)) from error

    @staticmethod
    def trouble(path: str) -> str:
        """Why a file does not begin as a picture, "" if it does; what follows is not looked at."""
        try:
            with open(path, "rb") as file, opened_image(file):
                return ""
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever damaged bytes lead them to
            return _reason(error)


def _reason(error: Exception) -> str:
    """Why a file gives no pixels: few different texts, so that files can be counted by them."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too large to be decoded whole, and no JPEG of which a fraction could be"
    if isinstance(error, UnidentifiedImageError):
        return "no image, or of a format that is not read"
    if isinstance(error, FileNotFoundError):
        return "a link to nowhere"
    if isinstance(error, PermissionError):
        return "not allowed to be read"
    if str(error) == FLOATS:
        return f"{FLOATS}, of which nobody tells the range; save them with 8 or 16 bits"
    return "damaged"
