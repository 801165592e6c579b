from __future__ import annotations

import numpy as np
import pytest
from orchestrator_datasets.composing import SceneOptions, compose
from orchestrator_datasets.digits import Digits
from orchestrator_datasets.scenes import Scenes

from orchestrator.errors import ConfigError
from orchestrator.testing.dataset import check_dataset


@pytest.mark.parametrize("channels", [1, 3])
def test_scenes_fulfil_the_contract(channels: int) -> None:
    scenes = Scenes(image_size=32, in_channels=channels, digits=10, count=80)
    check_dataset(scenes)
    assert scenes.classes == ("ground", *"0123456789")
    assert not scenes.mirror
    assert [len(scenes.split(name)) for name in ("train", "validation", "test")] == [80, 20, 20]


def test_a_mask_holds_ground_every_digit_and_edges() -> None:
    masks = Scenes(image_size=48, digits=10, count=100).split("train").targets
    assert sorted(np.unique(masks)) == [*range(11), 255]
    shares = np.bincount(masks.ravel(), minlength=256) / masks.size
    assert 0.6 < shares[0] < 0.95
    assert 0.005 < shares[255] < 0.15
    # Every scene has a digit, most have two or more.
    digits = [len(set(np.unique(mask)) - {0, 255}) for mask in masks]
    assert min(digits) >= 1
    assert np.mean(digits) > 1.5


def test_digits_are_brighter_than_what_is_around_them() -> None:
    train = Scenes(image_size=48, in_channels=1, count=50).split("train")
    pixels, masks = train.pixels[:, 0], train.targets
    inside, ground = pixels[(masks > 0) & (masks < 255)], pixels[masks == 0]
    assert inside.mean() > ground.mean() + 60


def test_fewer_digits_are_fewer_classes() -> None:
    scenes = Scenes(image_size=32, digits=3, count=40)
    assert scenes.classes == ("ground", "0", "1", "2")
    assert set(np.unique(scenes.split("test").targets)) <= {0, 1, 2, 3, 255}


def test_the_seed_decides_the_scenes() -> None:
    first, same, other = (Scenes(image_size=32, count=20, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.split("test").pixels, same.split("test").pixels)
    assert np.array_equal(first.split("test").targets, same.split("test").targets)
    assert not np.array_equal(first.split("test").pixels, other.split("test").pixels)


def test_no_digit_is_in_two_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[set[bytes]] = []

    def spying(digits: tuple[np.ndarray, np.ndarray], *rest: object) -> object:
        used.append({digit.tobytes() for digit in digits[0]})
        return compose(digits, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("orchestrator_datasets.scenes.compose", spying)
    scenes = Scenes(image_size=32, digits=10, count=20)
    for name in ("validation", "test"):
        scenes.split(name)  # type: ignore[arg-type]
    train, validation, test = used
    assert min(map(len, used)) > 300
    assert not (train & validation or train & test or validation & test)


def test_every_digit_is_used_as_often() -> None:
    digits = Digits(image_size=8).split("train")
    few = (digits.pixels[:10, 0], np.arange(10))
    _, masks = compose(few, 40, SceneOptions(64, 1), np.random.default_rng(0))
    seen = [np.unique(mask) for mask in masks]
    counts = [sum(label in mask for mask in seen) for label in range(1, 11)]
    assert min(counts) > 0
    assert max(counts) - min(counts) <= 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 8}, "image_size: found 8, expected 16 or more"),
        ({"digits": 11}, "digits: found 11, expected 1 to 10"),
        ({"count": 2}, "count: found 2, expected 8 or more"),
    ],
)
def test_what_no_scene_can_be_made_of_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Scenes(**options)  # type: ignore[arg-type]
