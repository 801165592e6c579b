"""Which image files a folder holds, class by class and split by split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from orchestrator import image_suffixes
from orchestrator.errors import DataError, plural
from orchestrator_datasets.layout import given_splits, split_called
from orchestrator_datasets.splitting import dealt_by_name, stratified

__all__ = ["ImageFile", "Listing", "SplitOptions", "list_splits", "suffixes", "uneven"]

# Of the first rules.
_FIRST_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_NOT_READ = "is not read"
# A class that is smaller than another by this factor is spoken of.
_UNEVEN = 3
_CONVERTED = (".heic", ".heif", ".svg", ".raw", ".dng", ".nef", ".cr2", ".arw", ".psd", ".dcm")


@cache
def suffixes(rules: int) -> frozenset[str]:
    """Those of the files that are taken for images."""
    return _FIRST_SUFFIXES if rules == 1 else image_suffixes()


@dataclass(frozen=True)
class ImageFile:
    """A file that should be an image; `path` is relative to the dataset's root."""

    path: str
    size_bytes: int
    modified_ns: int
    label: int


@dataclass(frozen=True)
class SplitOptions:
    """How images without given splits are dealt out.

    `rules` 2 deals by the names of files, so that an added one moves no other, knows splits by
    many names and takes all files that are read. 1 is what there was before: by the number of
    files, by a few names, five suffixes; searches that began so go on so.
    """

    validation_share: float
    test_share: float
    per_class: int | None
    seed: int
    rules: int = 2


@dataclass(frozen=True)
class Listing:
    """Class names, the files of each split in a fixed order, and what a user should know.

    `left_out` counts files by the reason why they are not taken.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[ImageFile, ...]]
    notes: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


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
    rules, others = options.rules, Counter[str]()
    given = _given_splits(root, rules)
    pool = root / given.pop("train", "")
    classes = _classes(pool, rules)
    _refuse_splits_below(pool, classes, rules)
    for name, folder in given.items():
        _same_classes(root / folder, classes, name)
    seek = _Search(root, classes, rules, others)
    files = {name: seek.files(root / folder) for name, folder in given.items()}
    found = seek.files(pool)
    members = [each[: options.per_class] for each in found]
    splits = {name: _joined(lists) for name, lists in files.items()}
    splits |= _dealt(pool.relative_to(root).as_posix(), members, classes, options, set(files))
    left_out = {_told(suffix, rules): count for suffix, count in sorted(others.items())}
    if more := sum(map(len, found)) - sum(map(len, members)):
        left_out[f"beyond dataset.per_class={options.per_class}"] = more
    lost = [
        f"{plural(count, 'file')} left out: {why}"
        for why, count in left_out.items()
        if _NOT_READ in why
    ]
    return Listing(classes, splits, (*_notes(root, pool, rules), *lost), left_out)


def _told(suffix: str, rules: int) -> str:
    """Why files of a suffix are left out."""
    if suffix in suffixes(2):
        return f"{suffix} {_NOT_READ} by dataset.rules={rules}"
    if suffix in _CONVERTED:
        return f"{suffix} {_NOT_READ}: convert them to JPEG or PNG"
    return f"{suffix} is no image's suffix" if suffix else "without a suffix"


def _given_splits(root: Path, rules: int) -> dict[str, str]:
    """Split → folder, where `root` is laid out in splits; else nothing.

    A folder `train` that holds images itself is a class: trains.
    """
    folders = _folders(root)
    nested = {f.name: bool(_folders(f)) and not _has_images(f, rules) for f in folders}
    return given_splits(root, folders, nested, rules)


def _refuse_splits_below(pool: Path, classes: tuple[str, ...], rules: int) -> None:
    """Raise DataError for CLASS/train/… and CLASS/test/…, which would be mixed."""
    if rules == 1:
        return
    for name in classes:
        below = [folder.name for folder in _folders(pool / name)]
        if len(below) > 1 and all(split_called(each) for each in below):
            raise DataError(
                f"class folder {pool / name} holds {', '.join(below)}, which are names of splits; "
                "expected splits that hold classes, such as train/CLASS/… beside test/CLASS/…. "
                "Turn the folders around."
            )


def _classes(pool: Path, rules: int) -> tuple[str, ...]:
    names = tuple(path.name for path in _folders(pool))
    if not names:
        loose = ", but images without a class" if _has_images(pool, rules) else ""
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


@dataclass(frozen=True)
class _Search:
    """Finds the files of each class; what is no image is counted in `others` by its suffix."""

    root: Path
    classes: tuple[str, ...]
    rules: int
    others: Counter[str]

    def files(self, folder: Path) -> list[list[ImageFile]]:
        """The files of each class, sorted by path; raises DataError for an empty class."""
        found = []
        for label, name in enumerate(self.classes):
            others: Counter[str] = Counter()
            path = (folder / name).relative_to(self.root).as_posix()
            files = list(self._walk(str(folder / name), path, label, others))
            if not files:
                seen = ", ".join(f"{n} {each or 'without suffix'}" for each, n in others.items())
                raise DataError(
                    f"class folder {folder / name} holds no images ({seen or 'it is empty'}), "
                    f"expected {', '.join(sorted(suffixes(self.rules)))}. Add images, convert "
                    "them, or remove the folder."
                )
            self.others.update(others)
            found.append(sorted(files, key=lambda file: file.path))
        return found

    def _walk(
        self, folder: str, path: str, label: int, others: Counter[str]
    ) -> Iterator[ImageFile]:
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
                    yield from self._walk(entry.path, below, label, others)
                elif suffix in suffixes(self.rules):
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
    pool: str,
    members: list[list[ImageFile]],
    classes: tuple[str, ...],
    options: SplitOptions,
    given: set[str],
) -> dict[str, tuple[ImageFile, ...]]:
    """Train and the splits that are not given, out of the training pool."""
    shares = {"validation": options.validation_share, "test": options.test_share}
    missing = {name: share for name, share in shares.items() if name not in given}
    if options.rules == 1:
        sizes = [len(files) for files in members]
        parts = stratified(sizes, list(missing.values()), options.seed, classes)
    else:
        names = [[os.path.relpath(file.path, pool) for file in files] for files in members]
        parts = dealt_by_name(names, missing, options.seed, classes)
    return {
        name: _joined([[m[i] for i in p] for m, p in zip(members, part, strict=True)])
        for name, part in zip((*missing, "train"), parts, strict=True)
    }


def _joined(lists: list[list[ImageFile]]) -> tuple[ImageFile, ...]:
    return tuple(file for files in lists for file in files)


def uneven(classes: Sequence[str], sizes: Sequence[int]) -> tuple[str, ...]:
    """A sentence on the images of each class, where one has several times those of another."""
    small, large = sizes.index(min(sizes)), sizes.index(max(sizes))
    if sizes[large] < _UNEVEN * sizes[small]:
        return ()
    return (
        f"classes are uneven: {plural(sizes[small], 'image')} of {classes[small]!r}, "
        f"{sizes[large]:,} of {classes[large]!r} ({100 * sizes[large] / sum(sizes):.0f} % of all); "
        "accuracy mostly tells about the large ones. See balanced_accuracy "
        "(objective=[balanced_accuracy,…]), and train with train.sampling=balanced or "
        "train.class_weights=balanced",
    )


def _notes(root: Path, pool: Path, rules: int) -> tuple[str, ...]:
    ignored = [path.name for path in _folders(root) if split_called(path.name, rules) is None]
    if pool == root or not ignored:
        return ()
    return (f"folders beside train/ that are no split were ignored: {', '.join(ignored)}",)


def _folders(folder: Path) -> list[Path]:
    """Visible sub-folders, sorted by name."""
    hidden = (".", "__")
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(hidden) and path.is_dir()
    )


def _has_images(folder: Path, rules: int) -> bool:
    known = suffixes(rules)
    return any(path.suffix.lower() in known and path.is_file() for path in folder.iterdir())
