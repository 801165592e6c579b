"""Keeps measurements and trainings of one machine apart, across processes.

Trainings share the gate, a measurement has it alone. It is made of two file locks, which the
kernel frees when a holder dies, however it dies: no lease, no hung search. The turnstile keeps a
stream of trainings from starving a waiting measurement.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Gate"]


class Gate:
    """One gate a machine and run; `folder` must be on a local file system."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold while training, a few batches at a time; cost: some microseconds."""
        with self._locked("turnstile", fcntl.LOCK_EX):
            room = self._acquire("room", fcntl.LOCK_SH)
        try:
            yield
        finally:
            room.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold while measuring: waits until every training has paused, and keeps them paused."""
        with self._locked("turnstile", fcntl.LOCK_EX), self._locked("room", fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[None]:
        file = self._acquire(name, kind)
        try:
            yield
        finally:
            file.close()

    def _acquire(self, name: str, kind: int):  # type: ignore[no-untyped-def]
        file = (self.folder / f"{name}.lock").open("w")
        fcntl.flock(file, kind)
        return file
