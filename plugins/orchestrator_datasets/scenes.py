"""Scenes of handwritten digits with their masks, so that segmentation runs without a download.

The digits are those of `orchestrator_datasets.digits`; the ground is drawn.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from orchestrator import Dataset
from orchestrator.errors import ConfigError
from orchestrator_datasets.composing import SceneOptions, compose
from orchestrator_datasets.digits import Digits
from orchestrator_datasets.masks import MaskSamples

__all__ = ["Scenes"]

_SPLITS = ("train", "validation", "test")
_SHARES = {"train": 1.0, "validation": 0.25, "test": 0.25}


class Scenes(Dataset):
    """Two to four digits in random places on a textured ground, each pixel's class in a mask.

    Classes are the ground and the first `digits` digits; 255 marks the soft edge of a stroke. A
    split is composed of digits of its own, so that none is seen in two. `count` scenes for
    training, a quarter as many for validation and for test each. The same options give the same
    scenes. Cost: two to four milliseconds a scene, and its bytes, in each process.
    """

    name = "scenes"
    mirror = False
    licence = Digits.licence

    def __init__(
        self,
        *,
        image_size: int = 64,
        in_channels: Literal[1, 3] = 1,
        digits: int = 5,
        count: int = 600,
        seed: int = 0,
    ) -> None:
        if image_size < 16:
            raise ConfigError(f"dataset.image_size: found {image_size}, expected 16 or more.")
        if not 1 <= digits <= 10:
            raise ConfigError(f"dataset.digits: found {digits}, expected 1 to 10.")
        if count < 8:
            raise ConfigError(f"dataset.count: found {count}, expected 8 or more.")
        self.classes = ("ground", *"0123456789"[:digits])
        self.image_size, self.in_channels = image_size, in_channels
        self.digits, self.count, self.seed = digits, count, seed
        self._splits: dict[str, MaskSamples] = {}
        pixels = self.split("train").pixels / np.float32(255)
        self.mean = tuple(float(mean) for mean in pixels.mean((0, 2, 3)))
        self.deviation = tuple(float(deviation) for deviation in pixels.std((0, 2, 3)))

    def split(self, name: Literal["train", "validation", "test"]) -> MaskSamples:
        """Scenes and masks uint8 (N, H, W) of one split, composed when first asked for."""
        if name not in self._splits:
            self._splits[name] = self._composed(name)
        return self._splits[name]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_splits": {}}

    def _composed(self, name: str) -> MaskSamples:
        single = Digits(image_size=8, seed=self.seed).split(name)  # type: ignore[arg-type]
        wanted = single.targets < self.digits
        rng = np.random.default_rng([self.seed, _SPLITS.index(name)])
        options = SceneOptions(self.image_size, self.in_channels)
        source = (single.pixels[wanted, 0], single.targets[wanted])
        return MaskSamples(*compose(source, round(_SHARES[name] * self.count), options, rng))
