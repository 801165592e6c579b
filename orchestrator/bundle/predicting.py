"""What a finalist's file says of images in files: read by the recipe that its folder carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from orchestrator.bundle.facts import artifact_of, read_facts
from orchestrator.bundle.rebuilding import rebuild, task_of
from orchestrator.contracts import Classes, Device, ImageFacts, PixelRecipe, image_suffixes
from orchestrator.errors import DataError, RunError, plural
from orchestrator.plugins import Plugins

__all__ = [
    "Guess",
    "ImagesFound",
    "Predictor",
    "Unread",
    "found_images",
    "recipe_of",
    "told_of",
]

_BATCH = 32


class _Answers(Protocol):
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits of normalised images float32 (N, C, H, W)."""


@dataclass(frozen=True)
class Guess:
    """Of one file the share of each class, in [0, 1]: probabilities, or parts of the image."""

    path: Path
    shares: tuple[float, ...]

    def top(self, count: int) -> list[int]:
        """The classes with the largest shares, largest first."""
        return [int(n) for n in np.argsort(self.shares, kind="stable")[::-1][:count]]


@dataclass(frozen=True)
class Unread:
    """A file that gives no pixels, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class ImagesFound:
    """Files to look at; `labels` are their classes where folders are called for all of them.

    `strange` are sub-folders with images that are called as no class, so that there are no labels.
    `others` counts the files below folders that are passed over, by suffix.
    """

    paths: tuple[Path, ...]
    labels: tuple[int, ...] = ()
    strange: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)


def recipe_of(facts: dict[str, Any], folder: Path) -> PixelRecipe:
    """The recipe in a folder's facts; raises RunError.

    A folder of before recipes were kept gets what its images were made by.
    """
    if facts.get("pixels"):
        return PixelRecipe.from_json(facts["pixels"])
    if facts["in_channels"] not in (1, 3):
        raise RunError(
            f"{folder} is of images with {plural(facts['in_channels'], 'channel')}, expected 1 or "
            "3: no file holds such pixels."
        )
    return PixelRecipe(facts["image_size"], facts["in_channels"])


def found_images(given: Sequence[Path], classes: Sequence[str]) -> ImagesFound:
    """The files among `given`, and those below folders; raises DataError where there are none.

    One folder of which every sub-folder with images is called as a class gives labels too.
    """
    if missing := [str(path) for path in given if not path.exists()]:
        raise DataError(f"{', '.join(missing)}: no such file or folder. Give images or folders.")
    folders = [path for path in given if path.is_dir()]
    others = Counter(suffix for folder in folders for suffix in _other_suffixes(folder))
    alone = folders[0] if folders and len(given) == 1 else None
    if alone and (labelled := _by_class(alone, classes)):
        pairs = [(path, label) for label, paths in labelled.items() for path in paths]
        files, labels = zip(*pairs, strict=True)
        return ImagesFound(files, labels, others=others)
    paths = tuple(p for one in given for p in (_below(one) if one.is_dir() else [one]))
    if not paths:
        raise DataError(
            f"{', '.join(map(str, given))} holds no images, expected files such as "
            f"{', '.join(sorted(image_suffixes())[:6])}; found {told_of(others) or 'none at all'}."
        )
    return ImagesFound(paths, strange=_strange(alone, classes) if alone else (), others=others)


def told_of(others: Mapping[str, int]) -> str:
    """Files by suffix in words: "2 .txt, 1 without suffix"."""
    ordered = sorted(others.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in ordered)


def _strange(folder: Path, classes: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in _folders(folder) if name not in classes)


def _folders(folder: Path) -> dict[str, list[Path]]:
    """Sub-folder → its images, where it has some."""
    folders = [path for path in sorted(folder.iterdir()) if _visible(path) and path.is_dir()]
    return {path.name: files for path in folders if (files := _below(path))}


def _by_class(folder: Path, classes: Sequence[str]) -> dict[int, list[Path]]:
    """Label → files; {} where a folder with images is called otherwise, or images lie loose."""
    found = _folders(folder)
    loose = [path for path in _below(folder) if path.parent == folder]
    if loose or not set(found) <= set(classes):
        return {}
    return {list(classes).index(name): files for name, files in found.items()}


def _below(folder: Path) -> list[Path]:
    return [path for path in _files(folder) if path.suffix.lower() in image_suffixes()]


def _other_suffixes(folder: Path) -> list[str]:
    found = (path.suffix.lower() for path in _files(folder))
    return [suffix for suffix in found if suffix not in image_suffixes()]


def _files(folder: Path) -> list[Path]:
    """Those below it that are not hidden, by path."""
    below = sorted(folder.rglob("*"))
    return [path for path in below if all(map(_visible, _parts(path, folder))) and path.is_file()]


def _parts(path: Path, folder: Path) -> list[Path]:
    return [Path(part) for part in path.relative_to(folder).parts]


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


class Predictor:
    """One file of a finalist's folder, ready to answer; raises RunError for a damaged folder.

    `device` runs the file called `label`, by default the recommended one; without a device the
    network is rebuilt and answers itself. No code of the folder is run, and what is read of it
    must be what was written.
    """

    def __init__(
        self, folder: Path, plugins: Plugins, device: Device | None, *, label: str = ""
    ) -> None:
        facts = read_facts(folder)
        self.images = ImageFacts.from_json(facts)
        self.recipe = recipe_of(facts, folder)
        self.outputs = task_of(facts, folder, plugins).outputs(self.images)
        self.file = label or facts["recommended"] or ""
        if device is None or not self.file:
            self.file = ""
            self._answers: _Answers = _rebuilt(folder, plugins)
        else:
            artifact = artifact_of(facts, self.file, folder)
            self._answers = lambda images: device.predict(artifact, images)

    def pixels(self, path: Path) -> np.ndarray:
        """What the network sees of a file, uint8 (C, size, size); raises DataError."""
        return self.recipe.read(str(path))

    def guesses(self, paths: Sequence[Path]) -> Iterator[Guess | Unread]:
        """In the order of `paths`, a batch of 32 at a time."""
        for start in range(0, len(paths), _BATCH):
            chunk = paths[start : start + _BATCH]
            read = [self._read(path) for path in chunk]
            pixels = [each for each in read if not isinstance(each, Unread)]
            shares = iter(self._shares(np.stack(pixels)) if pixels else ())
            for path, each in zip(chunk, read, strict=True):
                yield each if isinstance(each, Unread) else Guess(path, tuple(next(shares)))

    def _read(self, path: Path) -> np.ndarray | Unread:
        try:
            return self.pixels(path)
        except DataError as error:
            return Unread(path, str(error))

    def _shares(self, pixels: np.ndarray) -> list[list[float]]:
        """Of pixels uint8 (N, C, H, W) the share of each class."""
        logits = np.asarray(self._answers(self.images.normalise(pixels)), np.float64)
        if isinstance(self.outputs, Classes):
            raised = np.exp(logits - logits.max(1, keepdims=True))
            found: list[list[float]] = (raised / raised.sum(1, keepdims=True)).tolist()
            return found
        places = logits.argmax(1).reshape(len(logits), -1)  # (N, h · w)
        count = len(self.images.classes)
        return [(np.bincount(own, minlength=count) / len(own)).tolist() for own in places]


def _rebuilt(folder: Path, plugins: Plugins) -> _Answers:
    import torch

    network = rebuild(folder, plugins)

    @torch.no_grad()
    def answers(images: np.ndarray) -> np.ndarray:
        found: np.ndarray = network(torch.from_numpy(images)).float().numpy()
        return found

    return answers
