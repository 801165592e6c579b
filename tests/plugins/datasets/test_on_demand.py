"""Files that are decoded when they are read give what is decoded ahead, and random parts of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footings import footing
from orchestrator_datasets.decoding import Crop, decode
from orchestrator_datasets.image_folder import ImageFolder
from orchestrator_datasets.on_demand import FileSamples
from PIL import Image

from orchestrator import PixelRecipe, TrainConfig
from orchestrator.contracts import Split, samples_of
from orchestrator.errors import ConfigError, DataError
from orchestrator.testing.dataset import check_dataset
from orchestrator.training.batches import Batches

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """JPEGs of several shapes, dark above and bright below, red or blue by class."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    for label, name in enumerate(("blue", "red")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            rng = np.random.default_rng(number)
            height, width = 90 + 8 * number, 200 - 9 * number
            pixels = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
            pixels[height // 2 :, :, 2 * (1 - label)] += 150
            path = tmp_path / "photos" / name / f"{number}.jpg"
            Image.fromarray(pixels).save(path, quality=90)
    return tmp_path / "photos"


def folder(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(root=str(root), **{"image_size": 16, "decode": "demand", **options})


def test_it_fulfils_the_contract(photos: Path) -> None:
    data = folder(photos)
    check_dataset(data)
    assert isinstance(data.split("train"), FileSamples)


@pytest.mark.parametrize("channels", [1, 3])
def test_both_readers_give_the_same_without_a_generator(photos: Path, channels: int) -> None:
    ahead, demand = (folder(photos, decode=d, in_channels=channels) for d in ("ahead", "demand"))
    for name in SPLITS:
        everything = np.arange(len(samples_of(ahead, name)))
        ours, theirs = (samples_of(data, name).read(everything) for data in (ahead, demand))
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])
    assert demand.mean == pytest.approx(ahead.mean)
    assert demand.deviation == pytest.approx(ahead.deviation)


def test_with_a_generator_parts_are_cut_out_at_random(photos: Path) -> None:
    samples = samples_of(folder(photos), "train")
    indices = np.arange(len(samples))
    whole, labels = samples.read(indices)
    first, same = samples.read(indices, np.random.default_rng(0))
    again, _ = samples.read(indices, np.random.default_rng(0))
    other, _ = samples.read(indices, np.random.default_rng(1))
    assert np.array_equal(first, again) and np.array_equal(labels, same)
    assert not np.array_equal(first, whole) and not np.array_equal(first, other)


def test_a_crop_keeps_within_the_image_and_is_as_large_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        crop = Crop.drawn(rng, 0.35)
        left, top, right, bottom = crop.box(200, 100)
        assert 0 <= left < right <= 200 + 1e-9 and 0 <= top < bottom <= 100 + 1e-9
        area = (right - left) * (bottom - top) / 20_000
        assert area <= crop.area + 1e-9 and crop.area >= 0.35
        assert 3 / 4 - 1e-9 <= crop.aspect <= 4 / 3 + 1e-9


def test_a_draft_shows_what_the_whole_file_shows(tmp_path: Path) -> None:
    """A large JPEG is decoded at a fraction of its size: same part, up to rounding of the codec."""
    waves = 127 + 100 * np.sin(np.linspace(0, 9, 1600))
    pixels = np.repeat(np.broadcast_to(waves, (1200, 1600))[..., None], 3, axis=2).astype(np.uint8)
    jpeg, png = tmp_path / "it.jpg", tmp_path / "it.png"
    Image.fromarray(pixels).save(jpeg, quality=95)
    Image.fromarray(pixels).save(png)
    crop = Crop(area=0.5, aspect=1.2, left=0.3, top=0.7)
    drafted, plain = (decode(str(path), PixelRecipe(32, 3), crop) for path in (jpeg, png))
    assert drafted is not None and plain is not None
    assert np.abs(drafted.astype(int) - plain.astype(int)).max() <= 6


def test_what_is_no_image_is_left_out_and_what_breaks_off_is_named(photos: Path) -> None:
    (photos / "red" / "note.jpg").write_text("not an image")
    whole = (photos / "blue" / "3.jpg").read_bytes()
    (photos / "blue" / "3.jpg").write_bytes(whole[: len(whole) // 2])
    data = folder(photos)
    assert any("red/note.jpg" in note for note in data.notes)
    with pytest.raises(DataError, match=r"3\.jpg begins as an image"):
        for name in SPLITS:
            samples_of(data, name).read(np.arange(len(samples_of(data, name))))


def test_the_least_area_is_checked(photos: Path) -> None:
    with pytest.raises(ConfigError, match="least_area"):
        folder(photos, least_area=0.0)


def test_what_is_read_ahead_in_threads_is_the_same_each_time(photos: Path) -> None:
    config = TrainConfig(batch_size=4)

    def drawn(seed: int) -> list[np.ndarray]:
        batches = Batches(footing(folder(photos)), config, seed=seed)
        return [take()[0].numpy() for take in batches.drawn(batches.scaled_order())]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert len(first) == len(again) > 2
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_an_epoch_that_is_left_early_leaves_no_thread_behind(photos: Path) -> None:
    import threading

    before = threading.active_count()
    batches = Batches(footing(folder(photos)), TrainConfig(batch_size=2), seed=0)
    taken = batches.drawn(batches.scaled_order())
    next(taken)()
    taken.close()
    assert threading.active_count() == before
