"""Files written whole or not at all, and read with one kind of error.

Another process, and whoever comes after a kill, sees the file before or the file after, never
half of one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.errors import RunError

__all__ = ["replacing", "write_json", "write_whole"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` if nothing is raised.

    Missing folders are made. The file gets the permissions that a plainly opened one would have:
    what `tempfile` makes is private, and a colleague could not read a shared run. OSError passes
    through, and what was written is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes; raises RunError for a disk that is full or not writable."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    try:
        with replacing(path) as part:
            part.write_bytes(data)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error.strerror or error}. Free some disk space or choose "
            "a folder with write access, then resume."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON values; raises RunError like `write_whole`."""
    write_whole(path, json.dumps(value, indent=1))


def _umask() -> int:
    """The process's, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
