from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator_datasets import decoded as kept
from orchestrator_datasets.decoded import cache_folder
from orchestrator_datasets.decoding import decode
from orchestrator_datasets.image_folder import ImageFolder
from PIL import Image

from orchestrator import PixelRecipe
from orchestrator.errors import ConfigError, DataError, RunError
from orchestrator.paths import cache_dir
from orchestrator.plugins import installed
from orchestrator.testing.dataset import check_dataset

COLOURS = {"blue": (0, 0, 200), "green": (0, 200, 0), "red": (200, 0, 0)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


def fill(folder: Path, count: int = 10, classes: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """Small noisy squares of a class's colour; the file's number is in the first pixel."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng(number)
            pixels = rng.integers(0, 50, (9, 12, 3)) + np.array(COLOURS.get(name, (0, 0, 0)))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:03d}.png")
    return folder


def folder(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(root=str(root), **{"image_size": 8, **options})


def sizes(data: ImageFolder) -> tuple[int, ...]:
    return tuple(len(data.split(name)) for name in ("train", "validation", "test"))


def test_class_folders_fulfil_the_contract(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 20)
    options = {"root": str(root), "image_size": 8, "in_channels": 3}
    data = installed().create("dataset", "image_folder", options)
    check_dataset(data)
    assert data.classes == ("blue", "green", "red")
    assert sum(sizes(data)) == 60 and min(sizes(data)) >= 3
    assert isinstance(data.split("train").pixels, np.memmap)


def test_labels_belong_to_the_images(tmp_path: Path) -> None:
    images = folder(fill(tmp_path / "photos")).split("train")
    brightest = images.pixels.mean((2, 3)).argmax(1)
    assert [{0: 2, 1: 1, 2: 0}[label] for label in images.labels] == brightest.tolist()


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_given_splits_are_used(tmp_path: Path, validation: str) -> None:
    for name, count in (("train", 7), (validation, 3), ("test", 2)):
        fill(tmp_path / "photos" / name, count)
    assert sizes(folder(tmp_path / "photos")) == (21, 9, 6)


def test_a_missing_validation_split_is_taken_from_train(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "train", 10)
    fill(tmp_path / "photos" / "test", 4)
    train, validation, test = sizes(folder(tmp_path / "photos", validation_share=0.2))
    assert (train + validation, test) == (30, 12) and validation >= 3


def test_per_class_takes_the_first_names_for_training_only(tmp_path: Path) -> None:
    fill(tmp_path / "photos" / "train", 10)
    fill(tmp_path / "photos" / "test", 8)
    train, validation, test = sizes(folder(tmp_path / "photos", per_class=5))
    assert (train + validation, test) == (15, 24)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "vehicles", 6, ("bus", "train", "test"))
    assert folder(root).classes == ("bus", "test", "train")


def test_the_seed_decides_the_split(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 20)
    tests = [folder(root, seed=seed).split("test").pixels for seed in (0, 0, 1)]
    assert np.array_equal(tests[0], tests[1])
    assert not np.array_equal(tests[0], tests[2])


def test_unreadable_files_are_named_and_left_out(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 20)
    whole = (root / "red" / "003.png").read_bytes()
    (root / "red" / "003.png").write_bytes(whole[: len(whole) // 2])
    (root / "red" / "004.png").write_bytes(b"")
    (root / "blue" / "005.jpg").write_text("not an image")
    (root / "blue" / "006.jpg").symlink_to("nowhere.jpg")
    data = folder(root, validation_share=0.3)
    check_dataset(data)
    assert sum(sizes(data)) == 58
    (note,) = data.notes
    assert note.startswith(f"left out below {root}: 4 unreadable files: ")
    assert all(name in note for name in ("red/003.png", "red/004.png", "blue/005.jpg"))


def test_files_that_are_no_images_and_hidden_ones_are_ignored(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos")
    (root / "red" / "notes.txt").write_text("x")
    (root / "red" / "._000.png").write_bytes(b"x")
    (root / ".git").mkdir()
    (root / "README.md").write_text("x")
    data = folder(root)
    assert sum(sizes(data)) == 30
    assert data.notes == ()


def test_images_in_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos")
    fill(root / "red", 5, ("holiday",))
    assert sum(sizes(folder(root))) == 35


def test_uneven_classes_are_noted(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 3, ("red",))
    fill(root, 30, ("blue",))
    assert "3 images of 'red', 30 of 'blue'" in folder(root).notes[0]


def test_what_cannot_be_read_is_not_among_the_images_of_a_class(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 4, ("red",))
    fill(root, 30, ("blue",))
    (root / "red" / "broken.png").write_bytes(b"no image")
    uneven, unread = folder(root).notes
    assert "4 images of 'red', 30 of 'blue' (88 % of all)" in uneven
    assert "1 unreadable file: red/broken.png" in unread


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "does not exist, expected a folder"),
        (lambda root: root.write_text("x"), "is a file, expected a folder"),
        (lambda root: root.mkdir(), "has no class folders; expected one sub-folder"),
        (lambda root: fill(root.parent, 3, ("photos",)), "but images without a class"),
        (lambda root: fill(root, 5, ("red",)), "one class folder, 'red', expected at least two"),
        (lambda root: (fill(root) / "grey").mkdir(), "grey holds no images .it is empty."),
        (lambda root: fill(root, 2), "has 2 images, expected at least 3"),
        (
            lambda root: (fill(root / "train"), fill(root / "test", 2, ("red", "pink"))),
            "test split in .* lacks blue, green and has pink, which train has not",
        ),
        (
            lambda root: (fill(root / "train"), fill(root / "val"), fill(root / "valid")),
            "several folders for validation, val and valid",
        ),
    ],
)
def test_what_cannot_be_a_dataset_is_explained(tmp_path: Path, make: Any, message: str) -> None:
    make(tmp_path / "photos")
    with pytest.raises(DataError, match=message):
        folder(tmp_path / "photos")


def test_a_class_of_other_files_is_told_what_they_are(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos")
    (root / "phone").mkdir()
    (root / "phone" / "a.HEIC").write_bytes(b"x")
    with pytest.raises(DataError, match=r"phone holds no images \(1 .heic\), expected .apng"):
        folder(root)


def test_a_class_emptied_by_damage_is_an_error(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos")
    for path in (root / "red").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="'red' has no readable image in the train split"):
        folder(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_share": 0.0}, "validation_share: found 0.0"),
        ({"validation_share": 0.6, "test_share": 0.5}, "add up to 1.1"),
        ({"image_size": 0}, "image_size: found 0"),
        ({"per_class": 0}, "per_class: found 0"),
        ({"in_channels": 1, "normalise": "imagenet"}, "imagenet is for 3 channels"),
    ],
)
def test_impossible_options_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        folder(fill(tmp_path / "photos", 3), **options)


def test_normalisation_is_of_the_training_images_or_of_imagenet(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos", 20)
    data = folder(root)
    pixels = data.split("train").pixels / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)))
    assert data.deviation == pytest.approx(pixels.std((0, 2, 3)))
    assert folder(root, normalise="imagenet").mean == (0.485, 0.456, 0.406)


def test_the_cache_is_written_once_and_read_again(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "photos")
    folder(root)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    folder(root)
    assert len(before) == 6
    assert before == {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}


def test_a_changed_file_is_decoded_again(tmp_path: Path) -> None:
    root = fill(tmp_path / "photos")
    before = folder(root).mean
    for path in (root / "red").iterdir():
        Image.new("RGB", (9, 12), "white").save(path)
    assert folder(root).mean != before


def test_a_damaged_cache_is_written_again(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "photos")
    before = np.array(folder(root).split("train").pixels)
    for path in cache.rglob("pixels.npy"):
        os.truncate(path, 200)
    assert np.array_equal(folder(root).split("train").pixels, before)


@pytest.mark.parametrize("text", ["[]", "{}", "5", "{", "null", '{"mean": "x"}', "[" * 10**5])
def test_a_damaged_index_is_written_again(text: str, tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "photos")
    before = np.array(folder(root).split("train").pixels)
    for path in [*cache.rglob("index.json"), *cache.rglob("*.depth.json")]:
        path.write_text(text)
    assert np.array_equal(folder(root).split("train").pixels, before)
    asked = folder(root, decode="demand")
    for path in cache.rglob("*.files.json"):
        path.write_text(text)
    assert sizes(folder(root, decode="demand")) == sizes(asked)


def test_a_cache_of_a_newer_form_is_named_and_one_of_before_is_read(
    tmp_path: Path, cache: Path
) -> None:
    root = fill(tmp_path / "photos")
    before = sizes(folder(root))
    indices = {path: json.loads(path.read_text()) for path in cache.rglob("index.json")}
    for path, index in indices.items():
        assert index.pop("format") == 1
        path.write_text(json.dumps(index))
    assert sizes(folder(root)) == before
    for path, index in indices.items():
        path.write_text(json.dumps({**index, "format": 2}))
    with pytest.raises(RunError, match=r"index\.json has format 2.*dataset\.cache"):
        folder(root)


def test_a_pickled_dataset_survives_a_cleared_cache(tmp_path: Path, cache: Path) -> None:
    data = folder(fill(tmp_path / "photos"))
    before = np.array(data.split("train").pixels)
    text = pickle.dumps(data)
    for path in cache.rglob("*.npy"):
        path.unlink()
    assert np.array_equal(pickle.loads(text).split("train").pixels, before)


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path, cache: Path) -> None:
    cache.parent.write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot keep decoded images.*dataset\.cache"):
        folder(fill(tmp_path / "photos"))


def test_a_full_disk_is_an_error_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator_datasets.decoded._header", full)
    with pytest.raises(DataError, match=r"No space left on device.*Free some space"):
        folder(fill(tmp_path / "photos"))
    assert [path for path in cache.iterdir() if path.suffix != ".json"] == []


def _mean(root: str) -> tuple[float, ...]:
    return ImageFolder(root=root, image_size=8).mean


def test_processes_may_decode_at_once(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "photos", 40)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        means = pool.map(_mean, [str(root)] * 4, chunksize=1)
    assert len(set(means)) == 1
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 3


@pytest.mark.parametrize("damaged", [False, True])
def test_writers_that_finish_together_all_find_the_images(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    root, writers = fill(tmp_path / "photos"), 4
    together, fill_folder = threading.Barrier(writers), kept._fill

    def filled(*arguments: Any) -> None:
        fill_folder(*arguments)
        together.wait(20)

    for _ in range(10):
        for place in (path for path in cache.glob("*") if path.is_dir()):
            (place / "labels.npy").unlink() if damaged else shutil.rmtree(place)
        with monkeypatch.context() as patch, ThreadPoolExecutor(writers) as pool:
            patch.setattr(kept, "_fill", filled)
            data = list(pool.map(folder, [root] * writers))
        assert len({int(found.split("train").pixels.sum()) for found in data}) == 1
        assert len([path for path in cache.iterdir() if path.is_dir()]) == 3


def test_the_default_cache_is_the_project_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder(None) == cache_dir() / "images"
    monkeypatch.delenv("ORCHESTRATOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder(None) == cache_dir() / "images"
    assert cache_folder("~/mine") == Path.home() / "mine" / "images"


def saved(path: Path, image: Image.Image, **options: Any) -> str:
    image.save(path, **options)
    return str(path)


def test_colour_modes_become_rgb_or_grey(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (200, 0, 0))
    files = [
        saved(tmp_path / "palette.png", red.convert("P")),
        saved(tmp_path / "alpha.png", red.convert("RGBA")),
        saved(tmp_path / "plain.bmp", red),
        saved(tmp_path / "plain.webp", red, lossless=True),
        saved(tmp_path / "cmyk.jpg", red.convert("CMYK"), quality=100),
    ]
    for path in files:
        pixels = decode(path, PixelRecipe(8, 3))
        assert pixels is not None
        assert np.allclose(pixels.mean((1, 2)), (200, 0, 0), atol=6), path
        assert decode(path, PixelRecipe(8, 1)).shape == (1, 8, 8)


def test_grey_levels_of_any_depth_are_kept(tmp_path: Path) -> None:
    level = np.full((8, 8), 100, np.uint8)
    shallow = saved(tmp_path / "8.png", Image.fromarray(level))
    deep = saved(tmp_path / "16.png", Image.fromarray(level.astype(np.uint16) * 257))
    for path in (shallow, deep):
        assert np.array_equal(decode(path, PixelRecipe(8, 3)), np.full((3, 8, 8), 100))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_white(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (8, 8), (10, 10, 10, 0)).convert(mode)
    options = {"transparency": 0} if mode == "P" else {}
    clear = Image.new("P", (8, 8), 0) if mode == "P" else clear
    path = saved(tmp_path / "clear.png", clear, **options)
    assert np.array_equal(decode(path, PixelRecipe(8, 3)), np.full((3, 8, 8), 255))


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    path = saved(tmp_path / "turned.jpg", Image.fromarray(pixels), exif=exif, quality=95)
    decoded = decode(path, PixelRecipe(16, 1))
    assert decoded[0, :6].mean() < 20
    assert decoded[0, -6:].mean() > 235


def test_the_centre_of_a_wide_photo_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((300, 900, 3), np.uint8)
    pixels[:, 300:600] = 255
    path = saved(tmp_path / "wide.jpg", Image.fromarray(pixels), quality=95)
    decoded = decode(path, PixelRecipe(16, 1))
    assert decoded.shape == (1, 16, 16)
    assert decoded[:, :, 1:-1].mean() > 250


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_damaged_bytes_never_raise(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    whole = np.frombuffer(Path(saved(tmp_path / f"a.{suffix}", noise)).read_bytes(), np.uint8)
    damaged = tmp_path / f"b.{suffix}"
    for _ in range(100):
        data = whole.copy()
        data[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
        damaged.write_bytes(data[: rng.integers(len(data) // 2, len(data) + 1)].tobytes())
        pixels = decode(str(damaged), PixelRecipe(8, 3))
        assert isinstance(pixels, str) or pixels.shape == (3, 8, 8)
