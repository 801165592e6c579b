"""Which folders are splits, whatever their case and spelling, and which are classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import DataError

__all__ = ["given_splits", "split_called"]

_KINDS = {
    "train": ("train", "training", "trn", "tr"),
    "validation": ("validation", "val", "valid", "validate", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "tst", "holdout"),
}
# What stands beside the kind: "train_images", "test-set", "2_val", "val2017".
_BESIDE = r"(?:set|sets|split|data|dataset|images|imgs|img|\d+)?"
_PATTERNS = {
    split: re.compile(rf"{_BESIDE}(?:{'|'.join(words)}){_BESIDE}")
    for split, words in _KINDS.items()
}
# The names that there were in the first rules, and only so spelt.
_FIRST = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    "test": "test",
}


def split_called(name: str, rules: int = 2) -> str | None:
    """The split that a folder is called for: "Training" and "train_set" are "train"."""
    if rules == 1:
        return _FIRST.get(name)
    plain = re.sub(r"[^0-9a-z]", "", name.lower())
    return next((split for split, at in _PATTERNS.items() if at.fullmatch(plain)), None)


def given_splits(
    root: Path, folders: Sequence[Path], nested: Mapping[str, bool], rules: int
) -> dict[str, str]:
    """Split → the name of its folder, where `root` is laid out in splits; {} for class folders.

    `nested` says of each folder whether it holds folders and no images itself: one that holds
    images is a class, whatever it is called. Raises DataError where names of splits would be
    taken for classes.
    """
    found: dict[str, list[str]] = {}
    for folder in folders:
        split = split_called(folder.name, rules)
        # In a layout with train/, an empty or odd folder of a split's name is looked into later.
        if split is not None and (nested[folder.name] or split != "train"):
            found.setdefault(split, []).append(folder.name)
    if "train" not in found:
        if rules > 1:
            _refuse_splits_as_classes(root, folders, nested)
        return {}
    for split, names in found.items():
        if len(names) > 1:
            raise DataError(
                f"{root} has several folders for {split}, {' and '.join(names)}; expected one. "
                "Rename or remove the others."
            )
    return {split: names[0] for split, names in found.items()}


def _refuse_splits_as_classes(
    root: Path, folders: Sequence[Path], nested: Mapping[str, bool]
) -> None:
    called = {folder.name: split_called(folder.name) for folder in folders}
    splits = [name for name, split in called.items() if split and nested[name]]
    if not splits and not (len(called) > 1 and all(called.values())):
        return
    names = ", ".join(splits or called)
    raise DataError(
        f"{root} holds {names}, which are names of splits, and no folder train/ with class folders "
        "in it; they would be taken for classes. Expected train/CLASS/… beside test/CLASS/…, or "
        "class folders alone. Rename the folders, or set dataset.root one level lower."
    )
