"""Counts of truth against answer, pixel by pixel, and what follows from them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["Confusion"]


class Confusion:
    """A matrix of counts: rows are the truth, columns the answer.

    Pixels whose truth is `ignore` do not count, whatever was answered.
    """

    def __init__(self, classes: int, ignore: int) -> None:
        self.classes = classes
        self.ignore = ignore
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, truth: Tensor, answer: Tensor) -> None:
        """Count classes (B, H, W) of the truth and of the answer."""
        kept = truth != self.ignore
        pairs = truth[kept].long() * self.classes + answer[kept].long()
        counted = torch.bincount(pairs, minlength=self.classes**2)
        self.counts += counted.reshape(self.classes, self.classes).cpu().numpy()

    @property
    def pixels(self) -> int:
        """How many pixels counted."""
        return int(self.counts.sum())

    def ious(self) -> np.ndarray:
        """Intersection over union of each class, (classes,); nan where there is neither."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - hits
        return _shares(hits, union)

    def miou(self) -> float:
        """The mean over the classes that are there, in the truth or in an answer; else 0."""
        ious = self.ious()
        found = ious[~np.isnan(ious)]
        return float(found.mean()) if len(found) else 0.0

    def accuracy(self) -> float:
        """The share of pixels that are right; 0 without a pixel."""
        return float(np.trace(self.counts) / max(1, self.pixels))

    def recalls(self) -> np.ndarray:
        """The share of each class' pixels that are found, (classes,); nan without a pixel."""
        truth = self.counts.sum(1)
        hits = np.diag(self.counts).astype(np.float64)
        return _shares(hits, truth)


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, nan where the whole is 0."""
    nothing = np.full(len(whole), np.nan)
    shares: np.ndarray = np.divide(part, whole, out=nothing, where=whole > 0)
    return shares
