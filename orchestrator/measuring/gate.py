"""Keeps measurements and trainings of one machine apart, across processes.

Trainings share the gate, a measurement has it alone. It is made of two file locks, which the
kernel frees when a holder dies, however it dies: no lease, no hung search. The turnstile keeps a
stream of trainings from starving a waiting measurement.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

__all__ = ["Gate", "held", "host_gate", "quiet"]


def host_gate() -> Gate:
    """The gate of this machine and user: two searches that share a processor share it too.

    It lies in the temporary folder because a run's folder may be on a network file system.
    """
    return Gate(Path(tempfile.gettempdir()) / f"orchestrator-gate-{os.getuid()}")


def held(gate: Gate | None) -> AbstractContextManager[None]:
    """The gate shared with other trainings; nothing where there is none."""
    return gate.shared() if gate else nullcontext()


def quiet(gate: Gate, *, here: bool) -> AbstractContextManager[None]:
    """The gate alone for a measurement on this machine; nothing for one elsewhere."""
    return gate.exclusive() if here else nullcontext()


class Gate:
    """One gate; `folder` must be on a local file system. Pickles to the same gate.

    Not re-entrant: a holder that asks again may wait for itself. Threads count as holders of
    their own. A child made by `os.fork` keeps what its parent held; one started by `subprocess`
    does not.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold while training, a few batches at a time; cost: some tens of microseconds."""
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

    def _acquire(self, name: str, kind: int) -> IO[bytes]:
        """The lock, held; closing the file frees it."""
        path = self.folder / f"{name}.lock"
        while True:
            file = self._open(path)
            try:
                fcntl.flock(file, kind)
                if _is_still(path, file):
                    return file
            except BaseException:  # Ctrl-C while waiting: do not leave it to the garbage collector
                file.close()
                raise
            file.close()

    def _open(self, path: Path) -> IO[bytes]:
        try:
            return path.open("wb", buffering=0)
        except FileNotFoundError:  # temporary folders are swept by the system now and then
            self.folder.mkdir(parents=True, exist_ok=True)
            return path.open("wb", buffering=0)


def _is_still(path: Path, file: IO[bytes]) -> bool:
    """Whether a newcomer that opens `path` meets this very lock, and not one of a new file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
