"""What of a folder is not among the images of a search, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from orchestrator.errors import plural
from orchestrator_datasets.listing import ImageFile

__all__ = ["names_of", "reasons", "skipped_notes", "some"]

_NAMED_FILES = 5


class _Read(Protocol):
    """A split as it was read."""

    @property
    def skipped(self) -> tuple[str, ...]: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...


def names_of(files: Sequence[ImageFile], skipped: Iterable[str]) -> tuple[str, ...]:
    """Paths of the files that were read, in their order."""
    unread = set(skipped)
    return tuple(file.path for file in files if file.path not in unread)


def reasons(splits: Iterable[_Read]) -> dict[str, int]:
    """Reason → how many files of all splits were not read for it."""
    return dict(Counter(reason for split in splits for reason in split.reasons))


def skipped_notes(root: Path, splits: Iterable[_Read]) -> tuple[str, ...]:
    """A sentence on files that are no readable images, if any, with the reason of the first."""
    pairs = [
        f"{path} ({reason})"
        for split in splits
        for path, reason in zip(split.skipped, split.reasons, strict=True)
    ]
    if not pairs:
        return ()
    return (f"left out below {root}: {plural(len(pairs), 'unreadable file')}: {some(pairs)}",)


def some(paths: Sequence[str]) -> str:
    """The first few of many."""
    more = len(paths) - _NAMED_FILES
    return ", ".join(paths[:_NAMED_FILES]) + (f" and {more} more" if more > 0 else "")
