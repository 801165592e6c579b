from __future__ import annotations

import numpy as np
import pytest
from orchestrator_distillation.compressor import Distillation
from orchestrator_proxies.naswot import Naswot
from orchestrator_proxies.zico import Zico

from orchestrator import ArraySamples, Dataset
from orchestrator.training.calibration import Calibration


class Many(Dataset):
    """300 images, each of one shade of its own."""

    name = "many"
    classes = ("dark", "bright")
    image_size = 2
    in_channels = 1
    mean = (0.0,)
    deviation = (1 / 255,)

    def split(self, name: str) -> ArraySamples:
        shades = np.arange(300) % 256
        pixels = np.broadcast_to(shades[:, None, None, None], (300, 1, 2, 2))
        return ArraySamples(pixels.astype(np.uint8), np.arange(300) // 150)


@pytest.mark.parametrize(
    ("asked", "given"), [(0, 128), (100, 128), (129, 129), (300, 300), (5000, 300)]
)
def test_who_asks_for_more_gets_more(asked: int, given: int) -> None:
    images, labels = Calibration(Many()).images(asked)
    assert images.shape == (given, 1, 2, 2) and images.dtype == np.float32
    assert labels.shape == (given,) and labels.dtype == np.int64


def test_what_one_asks_for_changes_nothing_for_another() -> None:
    calibration = Calibration(Many())
    before, _ = Calibration(Many()).images(0)
    more, _ = calibration.images(200)
    few, _ = calibration.images(0)
    np.testing.assert_array_equal(few, before)
    assert set(few[:, 0, 0, 0]) <= set(more[:, 0, 0, 0])


def test_labels_belong_to_their_images() -> None:
    images, labels = Calibration(Many()).images(300)
    shades = Many().split("train").pixels[:, 0, 0, 0]
    np.testing.assert_allclose(images[:, 0, 0, 0], shades, rtol=1e-6)
    np.testing.assert_array_equal(labels, np.arange(300) // 150)


def test_who_asks_for_more_than_there_are_is_named() -> None:
    greedy, modest = Distillation(), Distillation()
    greedy.calibration_images, modest.calibration_images = 5000, 300
    objectives = [Naswot(images=400), Zico(batches=4, images=16)]
    notes = list(Calibration(Many()).notes({"a": greedy, "b": modest}, objectives))
    assert notes == [
        "compressor.a asks for 5,000 training images and gets all 300 there are.",
        "objective.naswot asks for 400 training images and gets all 300 there are.",
    ]
