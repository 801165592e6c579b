"""Which images an epoch shows, and what those of each class count."""

from __future__ import annotations

import numpy as np

from orchestrator.contracts import Samples
from orchestrator.errors import TrainingError

__all__ = ["balanced", "labels_of", "weights_of"]


def labels_of(samples: Samples) -> np.ndarray:
    """The class of each sample, int64 (N,); raises TrainingError where there is none to know."""
    targets = getattr(samples, "targets", None)
    if targets is None or np.ndim(targets) != 1:
        found = "no targets" if targets is None else f"targets of shape {np.shape(targets)}"
        raise TrainingError(
            f"train.sampling: balanced asks for one class an image, found {found}. Set it to plain."
        )
    return np.asarray(targets)


def weights_of(samples: Samples, classes: int) -> np.ndarray:
    """What each class counts so that all count as much, float32 (classes,); 1 an image on average.

    Images, or pixels of masks, over their class' number of them (King and Zeng 2001, "Logistic
    Regression in Rare Events Data"). Raises TrainingError where targets are not known.
    """
    targets = getattr(samples, "targets", None)
    if targets is None:
        raise TrainingError(
            "train.class_weights: balanced asks for targets that are known before images are "
            "read, found none. Set it to none."
        )
    rows = [np.asarray(targets)] if np.ndim(targets) == 1 else targets
    counts = sum(np.bincount(np.ravel(row), minlength=classes)[:classes] for row in rows)
    there = np.count_nonzero(counts)
    return (np.sum(counts) / (there * np.maximum(counts, 1))).astype(np.float32)


def balanced(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many indices as there are labels, in random order, every class as often as any other.

    A large class gives a part of its images, a small one its images several times, none once more
    than another. The number of a class differs by one at most.
    """
    classes = rng.permutation(np.unique(labels))
    shares = np.array_split(np.arange(len(labels)), len(classes))
    found = [
        _several(np.flatnonzero(labels == name), len(share), rng)
        for name, share in zip(classes, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(found))


def _several(members: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    rounds = [rng.permutation(members) for _ in range(-(-count // len(members)))]
    return np.concatenate([members[:0], *rounds])[:count]
