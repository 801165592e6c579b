"""Scenes out of single digits: several at random places on a textured ground, with their masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["IGNORE", "SceneOptions", "compose"]

# The soft edge of a stroke is neither digit nor ground, as PASCAL VOC's outlines are neither.
IGNORE = 255
_EDGE, _INSIDE = 0.2, 0.4
# A digit's side as a share of the scene's, and how often a place is tried that overlaps none.
_SIDES = (0.3, 0.375, 0.45)
_TRIES = 8


@dataclass(frozen=True)
class SceneOptions:
    """What the scenes of all splits have in common; each has 2 to `most` digits."""

    image_size: int
    in_channels: int
    most: int = 4


@dataclass(frozen=True)
class _Source:
    """Digits to draw from: alpha in [0, 1], one array (N, side, side) a size; labels (N,)."""

    sizes: tuple[np.ndarray, ...]
    labels: np.ndarray


def compose(
    digits: tuple[np.ndarray, np.ndarray],
    count: int,
    options: SceneOptions,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """`count` scenes: pixels uint8 (N, C, H, W) and masks uint8 (N, H, W).

    `digits` are pixels uint8 (M, h, w) and labels (M,); in a mask 0 is the ground, label + 1 a
    digit, 255 its edge, which is to be ignored. Digits are taken in turn, so that all are used as
    often. Cost: about half a millisecond a scene of 64 × 64 pixels.
    """
    source = _source(digits, options.image_size)
    scenes = _grounds(count, options, rng)
    masks = np.zeros((count, options.image_size, options.image_size), np.uint8)
    order = _turns(len(source.labels), rng)
    for scene, mask in zip(scenes, masks, strict=True):
        taken: list[tuple[int, int, int]] = []
        for _ in range(rng.integers(2, options.most + 1)):
            _place(next(order), source, (scene, mask, taken), rng)
    noisy = scenes + rng.normal(0, 0.03, scenes.shape)
    return (noisy.clip(0, 1) * 255).round().astype(np.uint8), masks


def _source(digits: tuple[np.ndarray, np.ndarray], image_size: int) -> _Source:
    import torch
    from torch.nn import functional

    pixels, labels = digits
    levels = torch.from_numpy(pixels.astype(np.float32) / 255)[:, None]
    sides = [max(8, round(share * image_size)) for share in _SIDES]
    sizes = [
        functional.interpolate(levels, (side, side), mode="bilinear")[:, 0].numpy()
        for side in sides
    ]
    return _Source(tuple(sizes), labels)


def _turns(many: int, rng: np.random.Generator) -> Iterator[int]:
    """Indices below `many` in random order, again and again."""
    while True:
        yield from rng.permutation(many)


def _place(
    index: int,
    source: _Source,
    scene: tuple[np.ndarray, np.ndarray, list[tuple[int, int, int]]],
    rng: np.random.Generator,
) -> None:
    """Draw one digit where it overlaps none; where there is no such place, leave it out."""
    pixels, mask, taken = scene
    alpha = source.sizes[rng.integers(len(source.sizes))][index]
    side, room = len(alpha), len(mask) - len(alpha)
    for _ in range(_TRIES):
        top, left = (int(start) for start in rng.integers(0, room + 1, 2))
        if not any(_meet((top, left, side), other) for other in taken):
            break
    else:
        return
    taken.append((top, left, side))
    window = (slice(top, top + side), slice(left, left + side))
    ink = rng.uniform(0.75, 1.0, (len(pixels), 1, 1))
    pixels[:, *window] += alpha * (ink - pixels[:, *window])
    part = mask[window]
    part[alpha >= _EDGE] = IGNORE
    part[alpha >= _INSIDE] = source.labels[index] + 1


def _meet(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
    """Whether two squares (top, left, side) overlap by more than a fifth of the smaller's side."""
    slack = min(one[2], other[2]) // 5
    return all(
        one[axis] + one[2] > other[axis] + slack and other[axis] + other[2] > one[axis] + slack
        for axis in (0, 1)
    )


def _grounds(count: int, options: SceneOptions, rng: np.random.Generator) -> np.ndarray:
    """Grounds in [0, 0.6], float64 (N, C, H, W): clouds of two sizes and stripes of one angle."""
    import torch
    from torch.nn import functional

    size, channels = options.image_size, options.in_channels
    clouds = np.zeros((count, channels, size, size))
    for cells, weight in ((3, 0.5), (9, 0.25)):
        noise = torch.from_numpy(rng.random((count, channels, cells, cells)))
        large = functional.interpolate(noise, (size, size), mode="bicubic").numpy()
        clouds += weight * large
    angle, pace, phase = (rng.uniform(0, high, (count, 1, 1)) for high in (np.pi, 0.8, 6.28))
    rows, columns = np.mgrid[:size, :size]
    across = np.cos(angle) * rows + np.sin(angle) * columns
    stripes = 0.5 + 0.5 * np.sin(pace * across * 64 / size + phase)
    strength = rng.uniform(0, 0.25, (count, 1, 1))
    mixed: np.ndarray = (0.6 * clouds + (strength * stripes)[:, None]).clip(0, 0.6)
    return mixed
