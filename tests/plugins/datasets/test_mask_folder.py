from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator_datasets.mask_folder import MaskFolder
from PIL import ExifTags, Image

from orchestrator.errors import ConfigError, DataError
from orchestrator.testing.dataset import check_dataset


def _write(
    folder: Path, name: str, mask: np.ndarray, *, suffix: str = ".png", palette: bool = False
) -> None:
    """An image whose red channel is the mask times 40, and the mask."""
    for part in ("images", "masks"):
        (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(name)).integers(0, 200, (*mask.shape, 3), dtype=np.uint8)
    noise[..., 0] = np.where(mask < 6, mask * 40, 0)
    Image.fromarray(noise).save(folder / "images" / f"{name}{suffix}")
    picture = Image.fromarray(mask)
    if palette:
        picture.putpalette([number // 3 * 7 % 256 for number in range(768)])
    picture.save(folder / "masks" / f"{name}.png")


def _mask(seed: int, size: tuple[int, int] = (24, 24), classes: int = 3) -> np.ndarray:
    mask = np.random.default_rng(seed).integers(0, classes, size, dtype=np.uint8)
    mask[0, 0] = 255
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(12):
        _write(tmp_path / "data", f"a{number:02d}", _mask(number))
    return tmp_path / "data"


def _open(root: Path, **options: Any) -> MaskFolder:
    return MaskFolder(root=str(root), image_size=24, cache=str(root.parent / "cache"), **options)


def test_a_folder_fulfils_the_contract(root: Path) -> None:
    dataset = _open(root)
    check_dataset(dataset)
    assert dataset.classes == ("0", "1", "2")
    sizes = [len(dataset.split(name)) for name in ("train", "validation", "test")]
    assert sum(sizes) == 12 and min(sizes) >= 1
    assert dataset.notes == ()


def test_masks_are_those_of_the_files_and_stay_with_their_images(root: Path) -> None:
    dataset = _open(root)
    for name in ("train", "validation", "test"):
        pixels, masks = dataset.split(name).read(np.arange(len(dataset.split(name))))
        kept = masks != 255
        assert (masks[:, 0, 0] == 255).all()
        assert np.array_equal(pixels[:, 0][kept], masks[kept] * 40)


def test_palette_masks_and_folders_within_are_read(root: Path) -> None:
    shutil.rmtree(root)
    for number in range(4):
        _write(root, f"street/b{number}", _mask(number), suffix=".jpg", palette=number % 2 == 0)
    dataset = _open(root, classes=("road", "car", "sky"))
    masks = np.concatenate(
        [dataset.split(name).targets for name in ("train", "validation", "test")]
    )
    assert set(np.unique(masks)) == {0, 1, 2, 255}
    assert dataset.classes == ("road", "car", "sky")


def test_given_splits_are_used_and_missing_ones_dealt_out_of_train(root: Path) -> None:
    for number in range(6):
        _write(root / "train", f"t{number}", _mask(number))
    for number in range(3):
        _write(root / "val", f"v{number}", _mask(number))
    dataset = _open(root)
    sizes = [len(dataset.split(name)) for name in ("train", "validation", "test")]
    assert (sizes[0] + sizes[2], sizes[1]) == (6, 3)


def test_names_come_from_the_option_a_file_or_the_values(root: Path) -> None:
    (root / "classes.txt").write_text("road\ncar\n\nsky\n")
    (root / "other.txt").write_text("a\nb\nc\nd\n")
    assert _open(root).classes == ("road", "car", "sky")
    assert _open(root, classes="other.txt").classes == ("a", "b", "c", "d")
    assert _open(root, classes=("x", "y", "z")).classes == ("x", "y", "z")


def test_another_ignore_index_is_255_too(root: Path) -> None:
    shutil.rmtree(root)
    for number in range(4):
        mask = _mask(number)
        mask[mask == 255] = 9
        _write(root, f"a{number}", mask)
    assert (_open(root, ignore_index=9).split("train").targets[:, 0, 0] == 255).all()
    _write(root, "a0", _mask(0))
    with pytest.raises(DataError, match=r"a0\.png holds the value 255.*ignore_index is 9"):
        _open(root, ignore_index=9)


def test_oblong_images_and_masks_are_cut_alike(root: Path) -> None:
    shutil.rmtree(root)
    for number in range(4):
        mask = np.repeat(np.repeat(_mask(number, (12, 20)), 4, 0), 4, 1)
        _write(root, f"a{number}", mask)
    dataset = MaskFolder(root=str(root), image_size=48, cache=str(root.parent / "cache"))
    train = dataset.split("train")
    kept = train.targets != 255
    assert np.array_equal(train.pixels[:, 0][kept], train.targets[kept] * 40)


def test_an_image_turned_by_its_orientation_has_an_upright_mask(root: Path) -> None:
    shutil.rmtree(root)
    for number in range(4):
        _write(root, f"a{number}", _mask(number, (24, 32)))
    image = Image.open(root / "images" / "a0.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turn it right by a quarter to see it upright
    image.save(root / "images" / "a0.png", exif=exif)
    dataset = _open(root)
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        kept = split.targets != 255
        assert np.array_equal(split.pixels[:, 0][kept], split.targets[kept] * 40)


def test_a_changed_mask_is_read_again(root: Path) -> None:
    before = _open(root)
    _write(root, "a00", np.full((24, 24), 2, np.uint8))
    after = _open(root)
    counts = [
        sum((data.split(name).targets == 2).sum() for name in ("train", "validation", "test"))
        for data in (before, after)
    ]
    assert counts[1] > counts[0]


def test_a_pickled_dataset_reads_the_same_from_another_cache(root: Path) -> None:
    dataset = _open(root)
    text = pickle.dumps(dataset)
    expected = np.array(dataset.split("test").targets)
    shutil.rmtree(root.parent / "cache")
    assert np.array_equal(pickle.loads(text).split("test").targets, expected)


def test_a_missing_mask_is_told_and_left_out(root: Path) -> None:
    (root / "masks" / "a03.png").unlink()
    dataset = _open(root)
    assert dataset.notes == (f"left out below {root}: 1 image without a mask: images/a03.png",)
    sizes = [len(dataset.split(name)) for name in ("train", "validation", "test")]
    assert sum(sizes) == 11


def test_an_unreadable_image_is_told_and_left_out(root: Path) -> None:
    (root / "images" / "a03.png").write_bytes(b"no image")
    dataset = _open(root)
    why = "no image, or of a format that is not read"
    told = f"left out below {root}: 1 unreadable file: images/a03.png ({why})"
    assert dataset.notes == (told,)
    assert dataset.left_out == {why: 1}


def _wrong_size(root: Path) -> None:
    Image.fromarray(_mask(0, (24, 20))).save(root / "masks" / "a03.png")


def _wrong_value(root: Path) -> None:
    (root / "classes.txt").write_text("road\ncar\nsky\n")
    mask = _mask(0)
    mask[5, 7] = 4
    Image.fromarray(mask).save(root / "masks" / "a03.png")


def _colours(root: Path) -> None:
    Image.fromarray(_mask(0)).convert("RGB").save(root / "masks" / "a03.png")


def _damaged(root: Path) -> None:
    (root / "masks" / "a03.png").write_bytes(b"no mask")


def _no_masks(root: Path) -> None:
    shutil.rmtree(root / "masks")


def _no_pairs(root: Path) -> None:
    for path in (root / "masks").iterdir():
        path.unlink()


def _twins(root: Path) -> None:
    shutil.copy(root / "images" / "a03.png", root / "images" / "a03.bmp")


def _one_class(root: Path) -> None:
    for path in (root / "masks").iterdir():
        Image.fromarray(np.zeros((24, 24), np.uint8)).save(path)


def _gone(root: Path) -> None:
    shutil.rmtree(root)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_wrong_size, r"masks/a03\.png has 20 × 24 pixels, its image 24 × 24"),
        (_wrong_value, r"masks/a03\.png holds the value 4, expected 0 to 2"),
        (_colours, r"masks/a03\.png has the colour mode RGB"),
        (_damaged, r"masks/a03\.png cannot be read"),
        (_no_masks, "has no folder masks/"),
        (_no_pairs, "holds 12 images without one"),
        (_twins, r"a03\.\w+ and a03\.\w+ in .* would share the mask a03\.png"),
        (_one_class, "hold the value 0 alone"),
        (_gone, "does not exist, expected a folder with images/ and masks/"),
    ],
)
def test_what_cannot_be_used_is_one_clear_message(root: Path, spoil: Any, message: str) -> None:
    spoil(root)
    with pytest.raises(DataError, match=message):
        _open(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore_index": 300}, "ignore_index: found 300, expected 0 to 255"),
        ({"validation_share": 0.0}, "validation_share: found 0"),
    ],
)
def test_impossible_options_are_refused(root: Path, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _open(root, **options)


@pytest.mark.parametrize("classes", [("one",), ("a", "a"), "missing.txt"])
def test_impossible_class_names_are_refused(root: Path, classes: Any) -> None:
    with pytest.raises(DataError, match=r"dataset\.classes"):
        _open(root, classes=classes)
