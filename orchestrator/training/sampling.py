"""Which images an epoch shows."""

from __future__ import annotations

import numpy as np

from orchestrator.contracts import Samples
from orchestrator.errors import TrainingError

__all__ = ["balanced", "labels_of"]


def labels_of(samples: Samples) -> np.ndarray:
    """The class of each sample, int64 (N,); raises TrainingError where there is none to know."""
    targets = getattr(samples, "targets", None)
    if targets is None or np.ndim(targets) != 1:
        found = "no targets" if targets is None else f"targets of shape {np.shape(targets)}"
        raise TrainingError(
            f"train.sampling: balanced asks for one class an image, found {found}. Set it to plain."
        )
    return np.asarray(targets)


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
