"""Which image files a folder holds, class by class and split by split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.errors import DataError
from orchestrator_datasets.splitting import stratified

__all__ = ["SUFFIXES", "ImageFile", "Listing", "SplitOptions", "list_splits"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_VALIDATION_FOLDERS = ("val", "valid", "validation")
_SPLIT_FOLDERS = ("train", *_VALIDATION_FOLDERS, "test")


@dataclass(frozen=True)
class ImageFile:
    """A file that should be an image; `path` is relative to the dataset's root."""

    path: str
    size_bytes: int
    modified_ns: int
    label: int


@dataclass(frozen=True)
class SplitOptions:
    """How images without given splits are dealt out."""

    validation_share: float
    test_share: float
    per_class: int | None
    seed: int


@dataclass(frozen=True)
class Listing:
    """Class names, the files of each split in a fixed order, and what a user should know."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[ImageFile, ...]]
    notes: tuple[str, ...]


def list_splits(root: Path, options: SplitOptions) -> Listing:
    """Find the splits of `root`; raises DataError for what cannot be a dataset."""
    if not root.is_dir():
        kind = "is a file" if root.exists() else "does not exist"
        raise DataError(
            f"dataset.root: {root} {kind}, expected a folder with one sub-folder of images a "
            f"class (or train/, test/ and perhaps validation/ with such sub-folders). Set "
            f"dataset.root."
        )
    try:
        return _listed(root, options)
    except OSError as error:
        raise DataError(
            f"cannot read the folders below {root}: {error}. Check their permissions and links."
        ) from error


def _listed(root: Path, options: SplitOptions) -> Listing:
    given = _given_splits(root)
    pool = root / given.pop("train", "")
    classes = _classes(pool)
    for name, folder in given.items():
        _same_classes(root / folder, classes, name)
    files = {name: _files(root, root / folder, classes) for name, folder in given.items()}
    members = [found[: options.per_class] for found in _files(root, pool, classes)]
    splits = {name: _joined(lists) for name, lists in files.items()}
    splits |= _dealt(members, classes, options, given=set(files))
    return Listing(classes, splits, _notes(root, pool, members, classes))


def _given_splits(root: Path) -> dict[str, str]:
    """Split → folder, where `root` is laid out in splits; else nothing.

    A folder `train` that holds images itself is a class: trains.
    """
    folders = {path.name for path in _folders(root)}
    if "train" not in folders or not _folders(root / "train") or _has_images(root / "train"):
        return {}
    given = {"train": "train"}
    validation = [name for name in _VALIDATION_FOLDERS if name in folders]
    if len(validation) > 1:
        raise DataError(
            f"{root} has several folders for validation, {' and '.join(validation)}; expected "
            f"one. Rename or remove the others."
        )
    if validation:
        given["validation"] = validation[0]
    if "test" in folders:
        given["test"] = "test"
    return given


def _classes(pool: Path) -> tuple[str, ...]:
    names = tuple(path.name for path in _folders(pool))
    if not names:
        loose = ", but images without a class" if _has_images(pool) else ""
        raise DataError(
            f"{pool} has no class folders{loose}; expected one sub-folder of images a class, "
            f"such as {pool}/cat and {pool}/dog. Move the images there, or set dataset.root."
        )
    if len(names) < 2:
        raise DataError(
            f"{pool} has one class folder, {names[0]!r}, expected at least two: there is nothing "
            f"to tell apart. Add a class, or set dataset.root one level higher or lower."
        )
    return names


def _same_classes(folder: Path, classes: tuple[str, ...], split: str) -> None:
    found = {path.name for path in _folders(folder)}
    missing, unknown = sorted(set(classes) - found), sorted(found - set(classes))
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has {', '.join(unknown)}, which train has not"] if unknown else []
        raise DataError(
            f"the {split} split in {folder} {' and '.join(parts)}; expected the same class "
            f"folders as in train. Add or remove folders, or remove {folder} to have that split "
            f"taken from train."
        )


def _files(root: Path, folder: Path, classes: tuple[str, ...]) -> list[list[ImageFile]]:
    """The files of each class, sorted by path; raises DataError for an empty class."""
    found = []
    for label, name in enumerate(classes):
        others: Counter[str] = Counter()
        path = (folder / name).relative_to(root).as_posix()
        files = list(_walk(str(folder / name), path, label, others))
        if not files:
            seen = ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in others.items())
            raise DataError(
                f"class folder {folder / name} holds no images ({seen or 'it is empty'}), "
                f"expected {', '.join(sorted(SUFFIXES))}. Add images, convert them, or remove "
                f"the folder."
            )
        found.append(sorted(files, key=lambda file: file.path))
    return found


def _walk(folder: str, path: str, label: int, others: Counter[str]) -> Iterator[ImageFile]:
    """Image files below `folder`, hidden ones left out; what else there is goes to `others`.

    `path` is that of `folder` relative to the dataset's root.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            below = f"{path}/{entry.name}"
            suffix = os.path.splitext(entry.name)[1].lower()
            if entry.is_dir():
                yield from _walk(entry.path, below, label, others)
            elif suffix in SUFFIXES:
                yield _image_file(entry, below, label)
            else:
                others[suffix] += 1


def _image_file(entry: os.DirEntry[str], path: str, label: int) -> ImageFile:
    try:
        status = entry.stat()
    except OSError:  # a dangling link: decoding will name it
        return ImageFile(path, 0, 0, label)
    return ImageFile(path, status.st_size, status.st_mtime_ns, label)


def _dealt(
    members: list[list[ImageFile]],
    classes: tuple[str, ...],
    options: SplitOptions,
    given: set[str],
) -> dict[str, tuple[ImageFile, ...]]:
    """Train and the splits that are not given, out of the training pool."""
    shares = {"validation": options.validation_share, "test": options.test_share}
    missing = {name: share for name, share in shares.items() if name not in given}
    sizes = [len(files) for files in members]
    parts = stratified(sizes, list(missing.values()), options.seed, classes)
    return {
        name: _joined([[m[i] for i in p] for m, p in zip(members, part, strict=True)])
        for name, part in zip((*missing, "train"), parts, strict=True)
    }


def _joined(lists: list[list[ImageFile]]) -> tuple[ImageFile, ...]:
    return tuple(file for files in lists for file in files)


def _notes(
    root: Path, pool: Path, members: list[list[ImageFile]], classes: tuple[str, ...]
) -> tuple[str, ...]:
    notes = []
    sizes = np.array([len(files) for files in members])
    small, large = int(sizes.argmin()), int(sizes.argmax())
    if sizes[large] >= 10 * sizes[small]:
        notes.append(
            f"classes are uneven: {sizes[small]} images of {classes[small]!r}, {sizes[large]} of "
            f"{classes[large]!r}; accuracy mostly tells about the large ones"
        )
    ignored = [path.name for path in _folders(root) if path.name not in _SPLIT_FOLDERS]
    if pool != root and ignored:
        notes.append(f"folders beside train/ that are no split were ignored: {', '.join(ignored)}")
    return tuple(notes)


def _folders(folder: Path) -> list[Path]:
    """Visible sub-folders, sorted by name."""
    hidden = (".", "__")
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(hidden) and path.is_dir()
    )


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES and path.is_file() for path in folder.iterdir())
