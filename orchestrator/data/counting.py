"""What images there are: by split and class, what is left out, and which are there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from orchestrator.contracts import Dataset, Split, samples_of
from orchestrator.data.pins import SPLITS, Pins, pins_of, shared
from orchestrator.errors import plural

__all__ = ["DataSummary", "summarise"]

_NAMED = 3
# More of the images than this are one class': then a network that knows nothing looks good.
_MUCH = 0.5
# Of two classes one always has half; so many times an even share is no matter of luck.
_UNEVEN = 1.2


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
        text = f"{plural(len(self.classes), 'class')}; {splits}"
        if self.largest:
            text += f"; largest class {self.largest[0]} with {100 * self.largest[1]:.1f} %"
        lost = sum(self.left_out.values())
        return f"{text}; {plural(lost, 'file')} left out" if lost else text

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
                f"{plural(self.contradicted, 'image')} with several labels, which no network can "
                "know."
            )
        if self.largest and self.largest[1] > max(_MUCH, _UNEVEN / len(self.classes)):
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
    tallies = {name: _tally(dataset, name) for name in SPLITS}
    by_class = {str(name): found.holding for name, found in tallies.items() if found}
    twice, same = _twice(pins)
    return DataSummary(
        classes=tuple(map(str, dataset.classes)),
        images={name: found.count for name, found in pins.items()},
        by_class=by_class if len(by_class) == len(SPLITS) else {},
        largest=_largest(dataset, tallies["train"]),
        left_out=dict(dataset.left_out),
        twice=twice,
        same=tuple(same),
        contradicted=_contradicted(pins),
        fingerprints={name: found.fingerprint for name, found in pins.items()},
    )


@dataclass(frozen=True)
class _Tally:
    """Of each class, how many images hold it, and how many images (for masks pixels) it has."""

    holding: tuple[int, ...]
    counts: tuple[int, ...]


def _tally(dataset: Dataset, split: Split) -> _Tally | None:
    """Of one split, each mask read once; None where nobody knows targets unread."""
    targets = getattr(samples_of(dataset, split), "targets", None)
    if targets is None:
        return None
    if np.ndim(targets) == 1:
        counts = _counted(np.asarray(targets), dataset)
        return _Tally(counts, counts)
    by_mask = np.array([_counted(np.ravel(mask), dataset) for mask in targets])
    holding, pixels = (by_mask > 0).sum(0), by_mask.sum(0)
    return _Tally(tuple(holding.tolist()), tuple(pixels.tolist()))


def _counted(labels: np.ndarray, dataset: Dataset) -> tuple[int, ...]:
    """How often each class occurs; what is to be ignored has a label beyond them."""
    count = len(dataset.classes)
    return tuple(np.bincount(labels, minlength=count)[:count].tolist())


def _largest(dataset: Dataset, tally: _Tally | None) -> tuple[str, float] | None:
    if tally is None or not sum(tally.counts):
        return None
    label = tally.counts.index(max(tally.counts))
    return str(dataset.classes[label]), tally.counts[label] / sum(tally.counts)


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
