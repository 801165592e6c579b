"""Which images and masks a folder holds, split by split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import DataError, plural
from orchestrator_datasets.layout import given_splits, split_called
from orchestrator_datasets.listing import ImageFile, SplitOptions, suffixes
from orchestrator_datasets.splitting import dealt_by_name, stratified

__all__ = ["MaskListing", "list_masks", "mask_of"]

IMAGES, MASKS = "images", "masks"
_NAMED_FILES = 5


@dataclass(frozen=True)
class MaskListing:
    """The images of each split that have a mask, in a fixed order, and what a user should know.

    A file's size and time are those of image and mask added up, so that either's change is one.
    """

    splits: Mapping[str, tuple[ImageFile, ...]]
    notes: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


def list_masks(root: Path, options: SplitOptions) -> MaskListing:
    """Find the splits of `root`; raises DataError for what cannot be a dataset."""
    if not root.is_dir():
        kind = "is a file" if root.exists() else "does not exist"
        raise DataError(
            f"dataset.root: {root} {kind}, expected a folder with {IMAGES}/ and {MASKS}/ (or "
            f"train/, test/ and perhaps validation/ that hold these). Set dataset.root."
        )
    try:
        return _listed(root, options)
    except OSError as error:
        raise DataError(
            f"cannot read the folders below {root}: {error}. Check their permissions and links."
        ) from error


def mask_of(image: Path) -> Path:
    """Where the mask of an image lies: …/images/a/b.jpg → …/masks/a/b.png."""
    place = len(image.parts) - 1 - image.parts[::-1].index(IMAGES)
    return Path(*image.parts[:place], MASKS, *image.parts[place + 1 :]).with_suffix(".png")


def _listed(root: Path, options: SplitOptions) -> MaskListing:
    given = _given_splits(root, options.rules)
    pool = given.pop("train", root)
    without: list[str] = []
    known = suffixes(options.rules)
    files = {n: _pairs(root, folder, without, known) for n, folder in given.items()}
    files |= _dealt(root, pool, _pairs(root, pool, without, known), (options, set(given)))
    left_out = {"without a mask": len(without)} if without else {}
    return MaskListing(files, _notes(root, without), left_out)


def _given_splits(root: Path, rules: int) -> dict[str, Path]:
    """Split → folder, where `root` is laid out in splits; else nothing."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    nested = {folder.name: (folder / IMAGES).is_dir() for folder in folders}
    trained = any(nested[f.name] and split_called(f.name, rules) == "train" for f in folders)
    if (root / IMAGES).is_dir() and not trained:
        return {}
    given = given_splits(root, folders, nested, rules)
    return {split: root / name for split, name in given.items()}


def _pairs(
    root: Path, folder: Path, without: list[str], known: frozenset[str]
) -> tuple[ImageFile, ...]:
    """The images of a split that have a mask, by path; those that have none go to `without`."""
    for part in (IMAGES, MASKS):
        if not (folder / part).is_dir():
            raise DataError(
                f"{folder} has no folder {part}/, expected images in {folder}/{IMAGES} and for "
                f"each a PNG of the same name in {folder}/{MASKS}. Set dataset.root."
            )
    found = sorted(
        path
        for path in (folder / IMAGES).rglob("*")
        if path.suffix.lower() in known and not path.name.startswith(".")
    )
    _refuse_twins(folder, found)
    without += [_below(root, path) for path in found if not mask_of(path).is_file()]
    files = tuple(_file(root, path) for path in found if mask_of(path).is_file())
    if not files:
        seen = f"{plural(len(found), 'image')} without one" if found else "no images"
        raise DataError(
            f"{folder} holds {seen}, expected images in {IMAGES}/ and for each a PNG of the same "
            f"name in {MASKS}/, such as {IMAGES}/a.jpg and {MASKS}/a.png."
        )
    return files


def _refuse_twins(folder: Path, found: list[Path]) -> None:
    """Two images of one name would share a mask."""
    seen: dict[Path, Path] = {}
    for path in found:
        if other := seen.setdefault(mask_of(path), path) if mask_of(path) in seen else None:
            raise DataError(
                f"{path.name} and {other.name} in {folder / IMAGES} would share the mask "
                f"{mask_of(path).name}, expected names that differ. Rename or remove one."
            )
        seen[mask_of(path)] = path


def _file(root: Path, image: Path) -> ImageFile:
    statuses = [path.stat() for path in (image, mask_of(image))]
    size = sum(status.st_size for status in statuses)
    return ImageFile(_below(root, image), size, sum(s.st_mtime_ns for s in statuses), 0)


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _dealt(
    root: Path, folder: Path, pool: tuple[ImageFile, ...], how: tuple[SplitOptions, set[str]]
) -> dict[str, tuple[ImageFile, ...]]:
    """Train and the splits that are not given, out of the training pool."""
    options, given = how
    shares = {"validation": options.validation_share, "test": options.test_share}
    missing = {name: share for name, share in shares.items() if name not in given}
    if len(pool) <= len(missing):
        raise DataError(
            f"found {plural(len(pool), 'image')} with a mask, expected at least {len(missing) + 1} "
            "to give one to each split. Add images."
        )
    if options.rules == 1:
        parts = stratified([len(pool)], list(missing.values()), options.seed, ["all"])
    else:
        names = [(root / file.path).relative_to(folder).as_posix() for file in pool]
        parts = dealt_by_name([names], missing, options.seed, ["all"])
    return {
        name: tuple(pool[i] for i in part)
        for name, (part,) in zip((*missing, "train"), parts, strict=True)
    }


def _notes(root: Path, without: list[str]) -> tuple[str, ...]:
    if not without:
        return ()
    more = len(without) - _NAMED_FILES
    named = ", ".join(without[:_NAMED_FILES]) + (f" and {more} more" if more > 0 else "")
    return (f"left out below {root}: {plural(len(without), 'image')} without a mask: {named}",)
