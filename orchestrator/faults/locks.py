"""Locks of files, which the kernel frees when their holder dies, however it dies.

Who takes one writes its process into the file, so that whoever waits can say for whom, and nobody
waits longer than it wants to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from orchestrator.faults.printable import printable

__all__ = ["LockTaken", "is_stopped", "named", "take"]

_COMMAND_LETTERS = 90


class LockTaken(Exception):
    """A lock that was not free in time; `holders` are the processes that have it, if known."""

    def __init__(self, path: Path, holders: Sequence[int]) -> None:
        self.path = path
        self.holders = tuple(holders)
        super().__init__(f"{path} is held by {named(holders)}")


def take(path: Path, *, shared: bool = False, seconds: float = 0.0, mode: int = 0o600) -> IO[bytes]:
    """The lock, held until the file that is returned is closed or its process ends.

    Waits `seconds` at most, then raises LockTaken; OSError for a file that cannot be opened. A link
    is not followed, and nothing that lies there is emptied. `mode` is a new file's.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, mode), "r+b", buffering=0)
        try:
            if not _locked(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, seconds):
                raise LockTaken(path, _holders(path, file))
            if _is_still(path, file):
                with contextlib.suppress(OSError):  # a full disk: the lock is what counts
                    os.pwrite(file.fileno(), b"%-11d\n" % os.getpid(), 0)
                return file
        except BaseException:  # Ctrl-C while waiting: do not leave it to the garbage collector
            file.close()
            raise
        file.close()


def named(holders: Sequence[int]) -> str:
    """Processes in words, with what they run and whether they are stopped."""
    return ", ".join(_named(pid) for pid in holders) or "another process"


def is_stopped(pid: int) -> bool:
    """Whether a process was halted by a signal or a debugger; False where that is unknown."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in "Tt"


def _locked(file: IO[bytes], kind: int, seconds: float) -> bool:
    """Whether the lock could be had in time."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        if seconds <= 0:
            return False
    # The kernel wakes who waits, but for no limit: so somebody else waits, on the same open file.
    # Given up, that one closes its end whenever it gets there, and the lock is free again.
    taken, own = threading.Event(), os.dup(file.fileno())
    threading.Thread(target=_wait, args=(own, kind, taken), daemon=True).start()
    return taken.wait(seconds)


def _wait(file: int, kind: int, taken: threading.Event) -> None:
    try:
        fcntl.flock(file, kind)
        taken.set()
    finally:
        os.close(file)


def _is_still(path: Path, file: IO[bytes]) -> bool:
    """Whether a newcomer that opens `path` meets this very lock, and not one of a new file."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def _holders(path: Path, file: IO[bytes]) -> list[int]:
    """As the kernel tells them, or else as the last of them wrote it into the file."""
    inode = str(os.fstat(file.fileno()).st_ino)
    try:
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        lines = []
    locks = [line for line in lines if len(line) > 5 and line[1] == "FLOCK"]
    found = {int(line[4]) for line in locks if line[5].rpartition(":")[2] == inode}
    known = sorted(pid for pid in found if pid > 0)
    try:
        return known or [int(path.read_text())]
    except (OSError, ValueError):
        return []


def _named(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = []
    command = printable(" ".join(words).strip(), _COMMAND_LETTERS)
    told = [f"({command})"] if command else []
    return " ".join([f"process {pid}", *told, *(["which is stopped"] if is_stopped(pid) else [])])
