"""What tells the images of a split from others: names, labels and hashes of decoded pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.contracts import ArraySamples, Dataset, Samples, Split, samples_of

__all__ = ["SPLITS", "Pins", "pins_of"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_BYTES = 8


@dataclass(frozen=True)
class Pins:
    """Of a split, one entry a sample: `names` (or empty), `labels`, `digests` (or empty).

    A label is a class' name, or for a mask its hash. `digests` are equal for equal images.
    """

    count: int
    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Of the whole split, whatever the order of its images."""
        columns = [column for column in (self.names, self.labels, self.digests) if column]
        rows = sorted("\0".join(row) for row in zip(*columns, strict=True))
        text = "\n".join([str(self.count), *rows]).encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()[:16]

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, label and digest of each sample; "" for what is not known."""
        columns = (self.names, self.labels, self.digests)
        filled = [column or ("",) * self.count for column in columns]
        return list(zip(*filled, strict=True))

    def to_json(self) -> dict[str, Any]:
        """JSON values; `from_json` is the inverse."""
        return {
            "count": self.count,
            "names": list(self.names),
            "labels": list(self.labels),
            "digests": list(self.digests),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Pins:
        """What `to_json` gave."""
        columns = (tuple(stored[name]) for name in ("names", "labels", "digests"))
        return cls(int(stored["count"]), *columns)


def pins_of(dataset: Dataset) -> dict[str, Pins]:
    """The pins of each split. Cost: every decoded image is read once, 50,000 a second."""
    found = {name: samples_of(dataset, name) for name in SPLITS}
    return {name: _pinned(samples, dataset.classes) for name, samples in found.items()}


def _pinned(samples: Samples, classes: Sequence[str]) -> Pins:
    names, told = (tuple(getattr(samples, which, ())) for which in ("names", "digests"))
    targets = getattr(samples, "targets", None)
    if isinstance(samples, ArraySamples):
        told = tuple(_hashes(samples.pixels))
    labels: tuple[str, ...] = ()
    if targets is not None and np.ndim(targets) == 1:
        labels = tuple(str(classes[label]) for label in np.asarray(targets))
    elif targets is not None:
        labels = tuple(_hashes(targets))
    return Pins(len(samples), names, labels, told)


def _hashes(arrays: Iterable[np.ndarray]) -> Iterable[str]:
    for array in arrays:
        told = np.ascontiguousarray(array)
        yield hashlib.blake2b(told.data, digest_size=_BYTES).hexdigest()


def shared(first: Pins, second: Pins) -> Counter[str]:
    """Digests that are in both, and how many samples of the second each is."""
    known = set(first.digests)
    return Counter(digest for digest in second.digests if digest in known)
