"""Training images for the proxies that look at data."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from orchestrator import Subject
from orchestrator.errors import CandidateError, plural

__all__ = ["training_images"]


def training_images(subject: Subject, count: int, proxy: str) -> tuple[Tensor, Tensor]:
    """`count` images float32 (N, C, H, W) and labels int64 (N,), or as many as there are.

    The same each time, in random order: data sets on disk come sorted by class. Raises
    CandidateError where there are none, or fewer than two.
    """
    if subject.batch is None:
        raise CandidateError(
            f"{proxy} looks at training images, and there are none outside a search. Leave it "
            "out here, or use zen or synflow, which need none."
        )
    images, labels = subject.batch()
    if len(images) < 2:
        raise CandidateError(
            f"{proxy} got {plural(len(images), 'training image')}, expected at least 2."
        )
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    picked = np.ascontiguousarray(images[chosen], dtype=np.float32)
    return torch.from_numpy(picked), torch.from_numpy(labels[chosen].astype(np.int64))
