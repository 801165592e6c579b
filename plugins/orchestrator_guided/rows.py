"""Rows of numbers, told one at a time and read as one array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows"]

Floats = NDArray[np.float64]


class Rows:
    """An array (n, width) that grows: a row more costs no copy of those that are there."""

    def __init__(self, width: int) -> None:
        self._held: Floats = np.zeros((64, width))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def array(self) -> Floats:
        """(n, width): look at it, and copy what you write to."""
        return self._held[: self._count]

    def append(self, row: Sequence[float] | Floats) -> None:
        """One more; what a shorter one lacks are zeros."""
        if self._count == len(self._held):
            self._held = np.concatenate([self._held, np.zeros_like(self._held)])
        self._held[self._count, : len(row)] = row
        self._count += 1

    def replace(self, place: int, row: Sequence[float]) -> None:
        """Another row in place of one."""
        self._held[place] = row

    def widen(self, width: int) -> None:
        """Columns more, which are zero in all rows so far."""
        if more := width - self._held.shape[1]:
            self._held = np.pad(self._held, ((0, 0), (0, more)))
