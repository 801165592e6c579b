"""Temporary folders of this user alone, which nobody has to remember to remove.

They lie in one folder of the user's in the system's temporary folder (0700, owner checked, no link
followed), or beside what they are for. Whoever makes one holds a lock on it, which the kernel frees
with its process, even at kill -9: the next one who makes a folder there sweeps what nobody holds.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import RunError

__all__ = ["WorkingFolder", "full", "own_root", "private", "sweep"]

# The longest name of a socket is 107 letters, of which Ray's own take 64 below its folder.
_SHORT = 16
_NAME = re.compile(r"[\w.]+-[a-z0-9]{8}")
_BESIDE = ".part"
_NAMES = ("TMPDIR", "TEMP", "TMP")
_SWEEP_SECONDS = 5.0
_TRIES = 5
# With less than this a disk is full: some block is always left.
_LEAST_BYTES = 2**18


class WorkingFolder:
    """A new folder to work in; gone when closed, or swept once its process is.

    `kind` says what it is for; it lies in `within`, by default in the user's own temporary folder.
    Raises RunError where none can be made: no candidate is to blame for that.
    """

    def __init__(self, kind: str, within: Path | None = None, *, short: bool = False) -> None:
        parent = own_root(short=short) if within is None else within
        suffix = "" if within is None else _BESIDE
        _sweep_once(parent)
        self.path = parent / f"{kind}-{secrets.token_hex(4)}{suffix}"
        self._lock = _made(self.path)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        _free(self._lock)
        self._lock = None

    def kept(self) -> Self:
        """Itself, made again where the system swept it; raises RunError."""
        if not _stands(self.path, self._lock):
            _free(self._lock)
            self._lock = _made(self.path, again=True)
        return self


def own_root(*, short: bool = False) -> Path:
    """This user's folder in the system's temporary one; raises RunError if it is another's.

    `short` is for what has sockets in it: it lies in /tmp where the system's own is a long path.
    """
    chosen = tempfile.tempdir or next(filter(None, map(os.environ.get, _NAMES)), "/tmp")
    base = "/tmp" if short and len(chosen) > _SHORT else chosen
    return private(Path(base) / f"orchestrator-{os.getuid()}")


def private(folder: Path) -> Path:
    """The folder, made if it is missing; raises RunError unless it is this user's alone."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except FileExistsError:
        found = folder.lstat()
    except OSError as error:
        raise _trouble(folder.parent, error) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise RunError(
            f"{folder} is not a folder of yours: it belongs to user {found.st_uid}, or is a file "
            "or a link. Remove it, or set TMPDIR to a folder that others cannot write to."
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def sweep(folder: Path) -> list[Path]:
    """Remove working folders in `folder` whose process is gone; those that went.

    Does nothing while another process sweeps, or makes one.
    """
    alone = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if alone is None:
        return []
    try:
        return [path for path in _ours(folder) if _removed(path)]
    finally:
        _free(alone)


def full(*folders: Path) -> OSError | None:
    """The error of a disk that has no room left, whatever a library made of it; None with room."""
    for folder in folders:
        with suppress(OSError):
            found = os.statvfs(folder)
            if found.f_blocks and found.f_bavail * found.f_frsize < _LEAST_BYTES:
                return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    return None


@cache
def _sweep_once(folder: Path) -> None:
    """Once a process is enough, as it may make a folder for each of thousands of candidates."""
    sweep(folder)


def _ours(folder: Path) -> list[Path]:
    suffix = "" if folder.name == f"orchestrator-{os.getuid()}" else _BESIDE
    return [
        path
        for path in folder.iterdir()
        if path.name.endswith(suffix)
        and _NAME.fullmatch(path.name.removesuffix(suffix))
        and not path.is_symlink()
    ]


def _removed(path: Path) -> bool:
    lock = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if lock is None:
        return False
    shutil.rmtree(path, ignore_errors=True)
    _free(lock)
    return True


def _made(path: Path, *, again: bool = False) -> int | None:
    """Make a folder and lock it; whose sweeper was quicker is made anew.

    Raises RunError where it cannot be made.
    """
    unswept = _shared(path.parent)
    try:
        for _ in range(_TRIES):
            path.mkdir(mode=0o700, exist_ok=again)
            lock = _locked(path, fcntl.LOCK_EX)
            if _stands(path, lock):
                return lock
            _free(lock)
        raise FileNotFoundError(errno.ENOENT, "what is made there goes at once", str(path))
    except OSError as error:
        raise _trouble(path.parent, error) from error
    finally:
        _free(unswept)


def _stands(path: Path, lock: int | None) -> bool:
    """Whether the folder is there, and the one that is locked: one of that name is not enough."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return lock is None or os.path.samestat(found, os.fstat(lock))


def _shared(folder: Path) -> int | None:
    """Held while a folder is made, so that no sweeper sees it before it is locked itself.

    A sweeper is waited for some seconds: one that was stopped must not stop everybody.
    """
    end = time.monotonic() + _SWEEP_SECONDS
    while (lock := _locked(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)) is None:
        if time.monotonic() > end or not folder.is_dir():
            return None
        time.sleep(0.01)
    return lock


def _locked(folder: Path, kind: int) -> int | None:
    """A lock on the folder itself; None where it cannot be had, as on some network disks."""
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, kind)
    except OSError:
        os.close(file)
        return None
    return file


def _free(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _trouble(folder: Path, error: OSError) -> RunError:
    return RunError(
        f"no temporary folder can be made in {folder}: {error.strerror or error}. Free some disk "
        "space, or set TMPDIR to a folder that can be written, then resume the search."
    )
