from __future__ import annotations

import numpy as np
import pytest
from orchestrator_datasets.digits import Digits

from orchestrator.errors import ConfigError
from orchestrator.plugins import installed
from orchestrator.testing.dataset import check_dataset


@pytest.mark.parametrize("channels", [1, 3])
def test_digits_fulfil_the_contract(channels: int) -> None:
    digits = installed().create("dataset", "digits", {"image_size": 16, "in_channels": channels})
    check_dataset(digits)
    assert digits.in_channels == channels
    assert not digits.mirror
    assert "CC BY" in digits.licence


def test_every_digit_is_in_one_split_and_each_split_is_stratified() -> None:
    digits = Digits()
    splits = [digits.split(name) for name in ("train", "validation", "test")]
    assert sum(map(len, splits)) == 1797
    for images, share in zip(splits, (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(images.labels, minlength=10)
        assert np.allclose(counts / 1797, 0.1 * share, atol=0.005)


def test_the_seed_decides_the_split() -> None:
    first, same, other = Digits(), Digits(), Digits(seed=1)
    assert np.array_equal(first.split("test").pixels, same.split("test").pixels)
    assert not np.array_equal(first.split("test").pixels, other.split("test").pixels)


def test_enlarged_digits_keep_their_look() -> None:
    images = Digits(image_size=8).split("train")
    assert images.pixels.shape[1:] == (1, 8, 8)
    assert images.pixels.max() == 255
    large = Digits(image_size=32).split("train")
    small = large.pixels.reshape(-1, 8, 4, 8, 4).mean((2, 4))
    assert np.corrcoef(small.ravel(), images.pixels.ravel())[0, 1] > 0.95


def test_normalisation_is_that_of_the_training_images() -> None:
    digits = Digits()
    pixels = digits.split("train").pixels / 255
    assert digits.mean[0] == pytest.approx(pixels.mean())
    assert digits.deviation[0] == pytest.approx(pixels.std())


def test_digits_do_not_shrink() -> None:
    with pytest.raises(ConfigError, match="image_size: found 4, expected 8 to 512"):
        Digits(image_size=4)
