"""Corruptions of images: deterministic, stronger from severity to severity, at home in any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from orchestrator_robustness.corruptions import KINDS, SEVERITIES, Corruption
from orchestrator_robustness.digital import jpeg
from torch import Generator


def scene(side: int, channels: int = 3) -> np.ndarray:
    """Four images uint8 (4, channels, side, side): waves on slopes, with a bright square."""
    slope = np.linspace(40, 160, side, dtype=np.float32)
    waves = 30 * np.sin(slope / 3)[:, None] * np.cos(slope / 4)[None]
    image = np.stack([slope[:, None] * 0.5 + slope[None] * 0.5 + waves] * channels)
    image[:, side // 4 + 1 : side // 2 + 1, side // 4 + 1 : side // 2 + 1] = 230
    return np.stack([image, image[:, ::-1], image[..., ::-1], 255 - image]).astype(np.uint8)


def moved(kind: str, severity: int, pixels: np.ndarray) -> float:
    """How far pixels are from what they were, in grey levels."""
    changed = Corruption(kind, severity)(pixels, 0)
    assert changed.dtype == np.uint8 and changed.shape == pixels.shape
    return float(np.abs(changed.astype(float) - pixels).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_stronger_from_severity_to_severity(kind: str) -> None:
    distances = [moved(kind, severity, scene(64)) for severity in SEVERITIES]
    assert distances == sorted(set(distances))
    assert distances[0] > 0.2 and distances[-1] < 110


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_images_always_become_the_same_in_any_form(kind: str) -> None:
    for side, channels in ((8, 1), (33, 4)):
        pixels = scene(side, channels)
        before, state = pixels.copy(), torch.get_rng_state()
        first, again = (Corruption(kind, 3)(pixels, 128) for _ in range(2))
        assert (first == again).all()
        assert (pixels == before).all() and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", ["gaussian_noise", "impulse_noise", "snow", "fog"])
def test_images_further_on_get_other_noise(kind: str) -> None:
    assert (Corruption(kind, 3)(scene(16), 0) != Corruption(kind, 3)(scene(16), 128)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_things_stay_where_they_are(kind: str) -> None:
    """A mask still fits: the square's middle stays brighter than the slope around it."""
    changed = Corruption(kind, 2)(scene(64), 0)[0].astype(float).mean(0)
    assert changed[20:28, 20:28].mean() > changed[36:44, 36:44].mean() + 10


def test_blur_is_as_strong_at_any_size() -> None:
    small, large = moved("gaussian_blur", 4, scene(48)), moved("gaussian_blur", 4, scene(192))
    assert small == pytest.approx(large, rel=0.15)


def test_fine_steps_of_compression_lose_almost_nothing() -> None:
    flat = torch.full((1, 1, 11, 13), 0.5)
    assert torch.allclose(jpeg(flat, 5, Generator()), flat, atol=0.03)
