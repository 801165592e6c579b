"""What images there are: by split and class, what is left out, and which are there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from orchestrator.contracts import Dataset, samples_of
from orchestrator.data.pins import SPLITS, Pins, pins_of, shared

__all__ = ["DataSummary", "summarise"]

_NAMED = 3
# More of the images than this are one class': then a network that knows nothing looks good.
_MUCH = 0.5


@dataclass(frozen=True)
class DataSummary:
    """Plain values, so that a run, a finalist's folder and a report can carry them.

    `images` counts each split, `by_class` of each split the images of each class (for masks those
    that hold it). `largest` is the class with the largest share of the training images (for masks
    of their pixels), and that share. `twice` tells how many images of the second split are in the
    first too, "train and test" → 3, `same` names some of them; `contradicted` counts images that
    come under several labels. `fingerprints` are those of each split.
    """

    classes: tuple[str, ...]
    images: Mapping[str, int]
    by_class: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    largest: tuple[str, float] | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    twice: Mapping[str, int] = field(default_factory=dict)
    same: tuple[str, ...] = ()
    contradicted: int = 0
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> DataSummary:
        """What `to_json` gave."""
        lists = {name: tuple(stored[name]) for name in ("classes", "same")}
        by_class = {split: tuple(counts) for split, counts in stored["by_class"].items()}
        largest = tuple(stored["largest"]) if stored["largest"] else None
        return cls(**{**stored, **lists, "by_class": by_class, "largest": largest})

    @property
    def told(self) -> str:
        """How many images there are, in a few words."""
        splits = ", ".join(f"{count:,} {split}" for split, count in self.images.items())
        text = f"{len(self.classes)} classes; {splits}"
        if self.largest:
            text += f"; largest class {self.largest[0]} with {100 * self.largest[1]:.1f} %"
        lost = sum(self.left_out.values())
        return f"{text}; {lost:,} files left out" if lost else text

    @property
    def warnings(self) -> list[str]:
        """What puts figures into doubt."""
        found = []
        named = f": {'; '.join(self.same)}" if self.same else ""
        if self.twice:
            told = ", ".join(f"{count} in {splits}" for splits, count in self.twice.items())
            found.append(
                f"the same images are in several splits ({told}), so that what is measured on "
                f"validation and test is too high{named}. Remove them from one."
            )
        if self.contradicted:
            found.append(
                f"{self.contradicted} images come under several labels; no network can know them."
            )
        if self.largest and self.largest[1] > _MUCH and len(self.classes) > 1:
            name, share = self.largest
            found.append(
                f"{100 * share:.1f} % of the training {self._counted} are {name!r}: a network that "
                "always says so looks that good. See balanced_accuracy and the figures by class."
            )
        return found

    @property
    def _counted(self) -> str:
        of_images = self.by_class and sum(self.by_class["train"]) == self.images["train"]
        return "images" if of_images else "pixels"


def summarise(dataset: Dataset, pins: Mapping[str, Pins] | None = None) -> DataSummary:
    """Count a dataset; `pins` where they are known already. Costs as `pins_of` does."""
    pins = pins or pins_of(dataset)
    by_class = {name: _by_class(dataset, name) for name in SPLITS}
    twice, same = _twice(pins)
    return DataSummary(
        classes=tuple(map(str, dataset.classes)),
        images={name: found.count for name, found in pins.items()},
        by_class={} if None in by_class.values() else {k: v for k, v in by_class.items() if v},
        largest=_largest(dataset),
        left_out=dict(dataset.left_out),
        twice=twice,
        same=tuple(same),
        contradicted=_contradicted(pins),
        fingerprints={name: found.fingerprint for name, found in pins.items()},
    )


def _by_class(dataset: Dataset, split: Any) -> tuple[int, ...] | None:
    """Images of each class, for masks those that hold it; None where nobody knows unread."""
    targets = getattr(samples_of(dataset, split), "targets", None)
    count = len(dataset.classes)
    if targets is None:
        return None
    if np.ndim(targets) == 1:
        return tuple(int(n) for n in np.bincount(np.asarray(targets), minlength=count)[:count])
    holding = sum(np.bincount(np.unique(mask), minlength=256)[:count] for mask in targets)
    return tuple(int(n) for n in np.asarray(holding))


def _largest(dataset: Dataset) -> tuple[str, float] | None:
    targets = getattr(samples_of(dataset, "train"), "targets", None)
    if targets is None:
        return None
    values = np.ravel(np.asarray(targets)).astype(np.int64)
    counts = np.bincount(values, minlength=len(dataset.classes))[: len(dataset.classes)]
    if not counts.sum():
        return None
    label = int(counts.argmax())
    return str(dataset.classes[label]), float(counts[label] / counts.sum())


def _twice(pins: Mapping[str, Pins]) -> tuple[dict[str, int], list[str]]:
    """By two splits the images of the second that are in the first, and some by name."""
    counted: dict[str, int] = {}
    named: list[str] = []
    for first, second in combinations(SPLITS, 2):
        found = shared(pins[first], pins[second])
        if not found:
            continue
        counted[f"{first} and {second}"] = sum(found.values())
        if pins[first].names and pins[second].names and len(named) < _NAMED:
            digest = next(iter(found))
            named.append(" = ".join(_name(pins[split], digest) for split in (first, second)))
    return counted, named


def _name(pins: Pins, digest: str) -> str:
    return pins.names[pins.digests.index(digest)]


def _contradicted(pins: Mapping[str, Pins]) -> int:
    labels: dict[str, set[str]] = {}
    rows: Sequence[tuple[str, str, str]] = [row for found in pins.values() for row in found.rows()]
    for _, label, digest in rows:
        if label and digest:
            labels.setdefault(digest, set()).add(label)
    return sum(len(labels.get(digest, ())) > 1 for _, _, digest in rows)
