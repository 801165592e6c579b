"""Files written whole or not at all, and read with one kind of error.

Another process, and whoever comes after a kill, sees the file before or the file after, never
half of one. What is stored says its `format`, a number; readers take that one and the one before.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.errors import RunError

__all__ = ["read_json", "replacing", "understood", "write_json", "write_whole"]


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


def write_json(path: Path, value: Any, *, format: int | None = None) -> None:
    """Write JSON values; raises RunError like `write_whole`.

    A mapping of a stored form gets its `format` as first key, for `read_json` to check.
    """
    stored = value if format is None else {"format": format, **value}
    write_whole(path, json.dumps(stored, indent=1))


def read_json(
    path: Path,
    *,
    format: int,
    before: Callable[[Any], Mapping[str, Any]] | None = None,
    mend: str = "Restore it from a copy.",
) -> dict[str, Any]:
    """What `write_json` wrote, in the form of today; see `understood`.

    Raises RunError for a file that is missing, damaged or of another form; `mend` says what helps.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. {mend}") from error
    try:
        return understood(data, path, format=format, before=before)
    except TypeError as error:
        raise RunError(f"{path} cannot be used: {error}. {mend}") from error


def understood(
    data: Any,
    where: object,
    *,
    format: int,
    before: Callable[[Any], Mapping[str, Any]] | None = None,
    fields: Collection[str] | None = None,
) -> dict[str, Any]:
    """`data` as a mapping of today's `format`, without that key.

    What says no format is of format 0. That of one before is handed to `before`, which makes
    today's of it; by default nothing but the number differs. Raises RunError naming `where` for
    another form, and for names that are none of `fields` where these are given; TypeError for what
    is no mapping, as it is damaged.
    """
    found = data.get("format", 0) if isinstance(data, Mapping) else 0
    rest = {k: v for k, v in data.items() if k != "format"} if isinstance(data, Mapping) else data
    if found == format - 1:
        rest = rest if before is None else before(rest)
    elif found != format:
        raise RunError(_strange(where, found, format))
    if not isinstance(rest, Mapping):
        raise TypeError(f"it holds {type(rest).__name__}, expected names and values")
    unknown = sorted(set(rest) - set(fields)) if fields is not None else []
    if unknown:
        raise RunError(
            f"{where} tells of {', '.join(map(repr, unknown))}, which this version does not know. "
            "Use the version of Orchestrator that wrote it."
        )
    return dict(rest)


def _strange(where: object, found: object, format: int) -> str:
    known = f"this version reads {max(0, format - 1)} and {format}"
    if isinstance(found, int) and found > format:
        return (
            f"{where} has format {found}, {known}: a newer Orchestrator wrote it. Update with "
            "pip install --upgrade pareto-orchestrator, or use the version that wrote it."
        )
    return f"{where} has format {found!r}, {known}. Use the version of Orchestrator that wrote it."


def _umask() -> int:
    """The process's, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
