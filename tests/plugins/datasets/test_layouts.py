"""Folders as people have them: splits by many names, files that come and go, formats, 16 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator_datasets.image_folder import ImageFolder
from orchestrator_datasets.layout import split_called
from PIL import Image

from orchestrator.errors import ConfigError, DataError

SPLITS = ("train", "validation", "test")


def fill(folder: Path, count: int = 8, suffix: str = "png", classes: tuple[str, ...] = ("a", "b")):
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng([number, *name.encode()])
            image = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            image.save(folder / name / f"{number:03d}.{suffix}")
    return folder


def opened(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(root=str(root), image_size=8, cache=str(root.parent / "kept"), **options)


def sizes(data: ImageFolder) -> tuple[int, ...]:
    return tuple(len(data.split(name)) for name in SPLITS)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[(name, "train") for name in ("Training", "TRAIN", "train_set", "1_train", "train2017")],
        *[(name, "validation") for name in ("Val", "valid-images", "Dev", "Evaluation")],
        *[(name, "test") for name in ("Testing", "Test Set", "holdout", "testdata")],
        *[(name, None) for name in ("trains", "cat", "detest", "value", "contest")],
    ],
)
def test_splits_are_known_whatever_their_spelling(name: str, split: str | None) -> None:
    assert split_called(name) == split


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Training", "Testing"), ("a", "b")),
        (("Train", "Val", "TEST"), ("a", "b")),
    ],
)
def test_a_known_layout_gives_its_classes(
    names: tuple[str, ...], expected: tuple[str, ...], tmp_path: Path
) -> None:
    for name in names:
        fill(tmp_path / "photos" / name)
    data = opened(tmp_path / "photos")
    assert data.classes == expected and sum(sizes(data)) == 16 * len(names)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        (("Testing/a", "Testing/b", "other/c"), "Testing, which are names of splits"),
        (("train", "test"), "which are names of splits"),
        (("a/train", "a/test", "b/train", "b/test"), "Turn the folders around"),
        (("train/a", "train/b", "Training/a", "Training/b"), "several folders for train"),
    ],
)
def test_names_of_splits_never_become_classes(
    layout: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    for place in layout:
        parent, _, name = place.rpartition("/")
        fill(tmp_path / "photos" / parent, classes=(name,))
    with pytest.raises(DataError, match=said):
        opened(tmp_path / "photos")


def test_a_file_that_is_added_moves_no_other(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 40)
    before = {name: set(opened(root).split(name).names) for name in SPLITS}
    fill(root, 41)
    after = {name: set(opened(root).split(name).names) for name in SPLITS}
    assert all(before[name] <= after[name] for name in SPLITS)
    assert sum(map(len, after.values())) == sum(map(len, before.values())) + 2
    fill(tmp_path / "elsewhere", 40)
    assert set(opened(tmp_path / "elsewhere").split("test").names) == before["test"]


def test_a_run_of_before_is_dealt_out_as_it_was(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 20)
    fill(root, 3, "gif")
    assert sizes(opened(root, rules=1)) == (28, 6, 6)
    assert sum(sizes(opened(root))) == 46
    assert ImageFolder.former == {"rules": 1}


def test_what_is_left_out_is_counted_by_its_reason(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos")
    for name in ("1.heic", "2.heic", "3.txt"):
        (root / "a" / name).write_bytes(b"x")
    (root / "b" / "4.jpg").write_bytes(b"no image")
    data = opened(root)
    assert data.left_out == {
        ".heic is not read: convert them to JPEG or PNG": 2,
        ".txt is no image's suffix": 1,
        "no image, or of a format that is not read": 1,
    }
    assert any("2 files left out: .heic" in note for note in data.notes)


@pytest.mark.parametrize("suffix", ["gif", "tif", "jfif", "ppm", "jp2", "tga"])
def test_formats_that_pillow_reads_are_read(suffix: str, tmp_path: Path) -> None:
    data = opened(fill(tmp_path / "photos", 4, suffix))
    assert sum(sizes(data)) == 8 and not data.left_out


@pytest.mark.parametrize(
    ("high", "offset", "levels"),
    [(4095, 0, (0, 4095)), (200, 0, (0, 255)), (65535, 0, (0, 65535)), (1000, 32000, None)],
)
def test_the_range_of_deep_images_comes_from_the_data(
    high: int, offset: int, levels: tuple[int, int] | None, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / "scans" / name).mkdir(parents=True)
        for number in range(5):
            values = np.linspace(0, high, 64).reshape(8, 8).astype(np.uint16) + offset
            Image.fromarray(values).save(tmp_path / f"scans/{name}/{number}.png")
    data = opened(tmp_path / "scans", in_channels=1)
    assert data.levels == (levels or (offset, offset + high)) == data.pixels.levels
    assert f"values {data.levels[0]} to {data.levels[1]}" in " ".join(data.notes)
    pixels = data.split("train").read(np.arange(1))[0]
    assert len(np.unique(pixels)) == 64 and pixels.max() - pixels.min() > 190


def test_levels_are_an_option_and_checked(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos")
    assert opened(root, levels=(10, 20)).levels == (10, 20)
    with pytest.raises(ConfigError, match=r"dataset\.levels: found \(5, 5\)"):
        opened(root, levels=(5, 5))


def test_huge_files_are_decoded_at_a_fraction_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "photos", 6)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400), dtype=np.uint8))
    noise.save(root / "a" / "scan.jpg")
    noise.save(root / "a" / "scan.png")
    noise.save(root / "a" / "slow.jpg", progressive=True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40_000)
    data = opened(root)
    names = [name for split in SPLITS for name in data.split(split).names]
    assert "a/scan.jpg" in names and "a/scan.png" not in names
    why = "too large to be decoded whole, and no JPEG of which a fraction could be"
    assert data.left_out == {why: 2}
