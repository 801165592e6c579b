"""What is told of a search's images, and held against them when it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator_datasets.digits import Digits
from orchestrator_datasets.image_folder import ImageFolder
from orchestrator_datasets.scenes import Scenes
from PIL import Image

from orchestrator.data import (
    DataSummary,
    check_pins,
    contact_sheet,
    data_page,
    keep_pins,
    kept_summary,
    summarise,
)
from orchestrator.errors import DataError, RunError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """30 dogs and 10 cats, of each split some."""
    for split, many in (("train", 3), ("val", 1), ("test", 1)):
        for name, count in (("cat", 2 * many), ("dog", 6 * many)):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for number in range(count):
                save(tmp_path / f"photos/{split}/{name}/{number}.png", (split, name, number))
    return tmp_path / "photos"


def save(path: Path, seed: tuple[Any, ...]) -> None:
    rng = np.random.default_rng(list(repr(seed).encode()))
    Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)


def opened(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(root=str(root), image_size=8, cache=str(root.parent / "kept"), **options)


@pytest.mark.parametrize("decode", ["ahead", "demand"])
def test_images_are_counted_by_split_and_class(photos: Path, decode: str) -> None:
    found = summarise(opened(photos, decode=decode))
    assert found.by_class == {"train": (6, 18), "validation": (2, 6), "test": (2, 6)}
    assert found.largest == ("dog", 0.75) and not found.twice
    assert "75.0 % of the training images are 'dog'" in found.warnings[0]
    assert found.told.startswith("2 classes; 24 train, 8 validation, 8 test; largest class dog")
    assert DataSummary.from_json(found.to_json()) == found


@pytest.mark.parametrize("decode", ["ahead", "demand"])
def test_the_same_image_in_two_splits_is_named(photos: Path, decode: str) -> None:
    shutil.copy(photos / "train/cat/1.png", photos / "test/cat/x.png")
    shutil.copy(photos / "train/dog/1.png", photos / "val/cat/y.png")
    found = summarise(opened(photos, decode=decode))
    assert found.twice == {"train and validation": 1, "train and test": 1}
    assert "train/cat/1.png = test/cat/x.png" in found.warnings[0]
    assert found.contradicted == 2 and "2 images with several labels" in found.warnings[1]


def test_masks_and_arrays_are_counted_too() -> None:
    scenes = summarise(Scenes(count=8, image_size=16, digits=2))
    assert scenes.largest is not None and scenes.largest[0] == "ground"
    assert scenes.by_class["train"][0] == 8 == scenes.images["train"]
    masks = Scenes(count=8, image_size=16, digits=2).split("train").targets
    assert scenes.largest[1] == np.mean(masks[masks != 255] == 0)
    digits = summarise(Digits(image_size=8))
    assert sum(digits.by_class["test"]) == digits.images["test"]


def test_a_page_shows_images_and_escapes_names(photos: Path) -> None:
    (photos / "train" / "cat").rename(photos / "train" / "<b>")
    shutil.rmtree(photos / "val")
    shutil.rmtree(photos / "test")
    data = opened(photos)
    strips = contact_sheet(data)
    page = data_page("a < b", summarise(data), strips)
    assert [name for name, _ in strips] == ["<b>", "dog"]
    assert page.count('src="data:image/png;base64,') == 2
    assert "&lt;b&gt;" in page and "<b>dog" not in page and "a &lt; b" in page


def test_a_run_goes_on_with_the_images_it_began_with(photos: Path, tmp_path: Path) -> None:
    keep_pins(tmp_path, opened(photos))
    assert check_pins(tmp_path, opened(photos)) == []
    found = kept_summary(tmp_path)
    assert found == summarise(opened(photos))


def test_other_images_are_named(photos: Path, tmp_path: Path) -> None:
    keep_pins(tmp_path, opened(photos))
    save(photos / "train/cat/new.png", ("new",))
    save(photos / "train/cat/1.png", ("changed",))
    (photos / "test/dog/2.png").unlink()
    train, test = check_pins(tmp_path, opened(photos))
    assert "1 new (train/cat/new.png), 1 changed (train/cat/1.png)" in train
    assert "test: " in test and "1 gone (test/dog/2.png)" in test


def test_other_classes_are_refused(photos: Path, tmp_path: Path) -> None:
    keep_pins(tmp_path, opened(photos))
    for split in ("train", "val", "test"):
        shutil.copytree(photos / split / "cat", photos / split / "eel")
    with pytest.raises(DataError, match=r"cat, dog, eel now \(with eel\), expected cat, dog"):
        check_pins(tmp_path, opened(photos))


def test_images_that_changed_splits_are_refused(photos: Path, tmp_path: Path) -> None:
    root = photos / "train"
    keep_pins(tmp_path, opened(root))
    with pytest.raises(DataError, match=r"began: 12 images: .*/3\.png from validation to train"):
        check_pins(tmp_path, opened(root, seed=1))


def test_a_run_of_before_gets_its_pins_now(photos: Path, tmp_path: Path) -> None:
    assert kept_summary(tmp_path) is None
    (told,) = check_pins(tmp_path, opened(photos))
    assert "from now on it does" in told
    assert check_pins(tmp_path, opened(photos)) == []


def test_damaged_pins_are_one_message(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('{"format": 1, "summary": {}}')
    with pytest.raises(RunError, match=r"data\.json is damaged"):
        kept_summary(tmp_path)
