"""Keeps measurements and trainings of one machine apart, across processes.

Trainings share the gate, a measurement has it alone. It is made of two file locks, which the
kernel frees when a holder dies, however it dies: no lease, no hung search. The turnstile keeps a
stream of trainings from starving a waiting measurement. A holder that hangs, or was stopped, is
waited for with a limit; then work goes on, and what was not quiet is told.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO

from orchestrator.faults.locks import LockTaken, is_stopped, named, take
from orchestrator.faults.temporary import own_root, private

__all__ = ["Gate", "held", "host_gate", "quiet"]

# A measurement takes minutes where many wait for one, an export too; nothing takes this long.
_PATIENCE_SECONDS = 600.0
# So long nobody is asked whether it still runs.
_SOON_SECONDS = 10.0
# For one that hung before.
_HUNG_SECONDS = 1.0
_MOST_BYTES = 65536


def host_gate() -> Gate:
    """The gate of this machine and user: two searches that share a processor share it too.

    It lies in the temporary folder because a run's folder may be on a network file system. Raises
    RunError where that is another user's.
    """
    return Gate(own_root() / "gate")


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
    does not. Whoever holds it for longer than `patience` seconds is passed by, and a holder that
    is stopped much sooner; `overruns` tells of it.
    """

    def __init__(self, folder: Path, *, patience: float = _PATIENCE_SECONDS) -> None:
        self.folder = private(folder)
        self.patience = patience
        self._hung: frozenset[int] = frozenset()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold while training, a few batches at a time; cost: some tens of microseconds."""
        with self._locked("turnstile"):
            room = self._acquire("room", shared=True)
        try:
            yield
        finally:
            _close(room)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold while measuring: waits until every training has paused, and keeps them paused."""
        with self._locked("turnstile"), self._locked("room"):
            yield

    def overruns(self, since: float) -> list[str]:
        """Sentences on holders that were passed by after that time, seconds since 1970."""
        try:
            lines = (self.folder / "overruns").read_text("utf-8").splitlines()
            found = [json.loads(line) for line in lines]
            return list(dict.fromkeys(told["text"] for told in found if told["time"] > since))
        except (OSError, ValueError, KeyError, TypeError):
            return []

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        file = self._acquire(name)
        try:
            yield
        finally:
            _close(file)

    def _acquire(self, name: str, *, shared: bool = False) -> IO[bytes] | None:
        """The lock, held until it is closed; None where its holder was passed by."""
        path, start = self.folder / f"{name}.lock", time.monotonic()
        limit = min(_HUNG_SECONDS if self._hung else _SOON_SECONDS, self.patience)
        while True:
            try:
                file = self._taken(path, shared, limit)
            except LockTaken as taken:
                waited = time.monotonic() - start
                if waited >= self.patience or self._hangs(taken.holders):
                    self._tell(taken.holders, waited)
                    return None
                limit = self.patience - waited
            else:
                self._hung = frozenset()
                return file

    def _taken(self, path: Path, shared: bool, seconds: float) -> IO[bytes]:
        try:
            return take(path, shared=shared, seconds=seconds)
        except FileNotFoundError:  # temporary folders are swept by the system now and then
            if self.folder.parent.name == own_root().name:
                own_root()
            private(self.folder)
            return take(path, shared=shared, seconds=seconds)

    def _hangs(self, holders: tuple[int, ...]) -> bool:
        """Whether all that hold it were passed by before, or are stopped."""
        return bool(holders) and all(pid in self._hung or is_stopped(pid) for pid in holders)

    def _tell(self, holders: tuple[int, ...], waited: float) -> None:
        """Leave a line for the search that shows notes, once a holder."""
        if holders and self._hung.issuperset(holders):
            return
        self._hung = self._hung.union(holders)
        text = (
            f"{named(holders)} holds the gate between measurements and trainings and did not give "
            f"it back within {waited:.0f} s, so work went on without it: latencies are not those "
            "of a quiet machine until it ends. Continue or end that process."
        )
        line = json.dumps({"time": time.time(), "text": text}) + "\n"
        path = self.folder / "overruns"
        new = os.O_TRUNC if path.is_file() and path.stat().st_size > _MOST_BYTES else 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | new
        with os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0) as file:
            file.write(line.encode())


def _close(file: IO[bytes] | None) -> None:
    if file is not None:
        file.close()
