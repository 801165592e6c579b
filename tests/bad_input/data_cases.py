"""Folders of images that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cases import Case, Prepare, plan

__all__ = ["DATA"]

LONG = "x" * 300


def _images(
    what: str, root: str, *wanted: str, prepare: Prepare | None = None, kind: str = "image"
) -> Case:
    words = f"dataset.name={kind}_folder", f"+dataset.root={root}"
    return replace(plan(*words, wanted=wanted, prepare=prepare), name=f"{kind} folder: {what}")


def _classes(tmp: Path) -> None:
    for name in ("cat", "dog"):
        (tmp / name).mkdir()


def _one_class(tmp: Path) -> None:
    (tmp / "cat").mkdir()
    (tmp / "cat" / "a.png").write_bytes(b"no image")


def _broken(tmp: Path) -> None:
    _classes(tmp)
    for name in ("cat", "dog"):
        for number in range(3):
            (tmp / name / f"{number}.png").write_bytes(b"no image")


def _file(tmp: Path) -> None:
    (tmp / "photos.zip").write_bytes(b"PK")


DATA = [
    _images("none", "{tmp}/none", "dataset.root", "{tmp}/none", "does not exist"),
    _images("a file", "{tmp}/photos.zip", "photos.zip", prepare=_file),
    _images("empty", "{tmp}", "{tmp}"),
    _images("a name too long", f"{{tmp}}/{LONG}", "dataset", "too long"),
    _images("empty classes", "{tmp}", "cat", "no images", prepare=_classes),
    _images("one class", "{tmp}", "{tmp}", prepare=_one_class),
    _images("nothing readable", "{tmp}", "cat", prepare=_broken),
    _images("none", "{tmp}/none", "{tmp}/none", kind="mask"),
    _images("empty", "{tmp}", "{tmp}", kind="mask"),
    _images("no text", "5", "dataset.root", "5"),
    plan("dataset.name=image_folder", wanted=("dataset.root",)),
    plan("dataset.name=digits", "+dataset.image_size=1000000", wanted=("image_size", "1000000")),
]
