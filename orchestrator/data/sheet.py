"""A contact sheet: some images of each class as networks see them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from orchestrator.analysis.pictures import enlarged, picture_of, png_uri
from orchestrator.contracts import Dataset, Samples, samples_of

__all__ = ["Strip", "contact_sheet"]

_COLUMNS, _MOST_ROWS = 8, 24
# Larger images are shown smaller, so that a page stays one that can be mailed.
_LARGEST_SIDE, _LEAST_SIDE = 96, 48

# A class, and the data URI of a row of its images.
Strip = tuple[str, str]


def contact_sheet(dataset: Dataset) -> list[Strip]:
    """A strip of training images a class, of the first 24 classes; one of all where none is known.

    They are cut, scaled and coloured as for a network, and nothing random is done to them.
    """
    samples = samples_of(dataset, "train")
    targets = getattr(samples, "targets", None)
    if targets is None or np.ndim(targets) != 1:
        return [("images", _strip(samples, _spread(np.arange(len(samples)))))]
    classes = list(enumerate(dataset.classes))[:_MOST_ROWS]
    members = ((str(name), np.flatnonzero(targets == label)) for label, name in classes)
    return [(name, _strip(samples, _spread(found))) for name, found in members if len(found)]


def _spread(found: np.ndarray) -> np.ndarray:
    places = np.linspace(0, len(found) - 1, min(_COLUMNS, len(found)))
    return found[places.round().astype(np.int64)]


def _strip(samples: Samples, indices: np.ndarray) -> str:
    pixels, _ = samples.read(np.sort(indices))
    tiles = [_tile(image) for image in pixels]
    side = tiles[0].width
    strip = Image.new(tiles[0].mode, ((side + 2) * len(tiles) - 2, side), "white")
    for place, tile in enumerate(tiles):
        strip.paste(tile, (place * (side + 2), 0))
    return png_uri(strip)


def _tile(pixels: np.ndarray) -> Image.Image:
    """One image (C, H, W), neither too small to be seen nor too large to be mailed."""
    picture = picture_of(pixels)
    if max(picture.size) > _LARGEST_SIDE:
        return picture.resize((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS)
    return enlarged(picture, _LEAST_SIDE)
