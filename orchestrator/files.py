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
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.errors import RunError, plural

__all__ = [
    "inside",
    "read_json",
    "read_text",
    "reading",
    "replacing",
    "understood",
    "write_json",
    "write_whole",
]

# No file of a run or a bundle that is read whole as text comes near it.
_MOST_BYTES = 256 * 2**20
_MEND = "Restore it from a copy."


@contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` if nothing is raised.

    Missing folders are made. Unless it is `private` the file gets the permissions that a plainly
    opened one would have: what `tempfile` makes is private, and a colleague could not read a shared
    run. OSError passes through, and what was written is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o600 if private else 0o666 & ~_umask())
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
    with reading(path, mend):
        data = json.loads(read_text(path))
        return understood(data, path, format=format, before=before)


@contextmanager
def reading(where: object, mend: str = _MEND) -> Iterator[None]:
    """What is wrong with a stored form is one RunError naming `where`: a file, or its line too.

    Every reader of what was stored reads within it: whatever damaged values do to it, a person is
    told which file it is, and by `mend` what helps.
    """
    try:
        yield
    except RunError as error:
        if str(where) in str(error):
            raise
        raise RunError(f"{where}: {error}") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise RunError(f"{where} cannot be read: {told or error}. {mend}") from error
    except KeyError as error:
        raise RunError(f"{where} is damaged: it lacks {error}. {mend}") from error
    except RecursionError as error:
        raise RunError(
            f"{where} is damaged: values within values without an end. {mend}"
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise RunError(f"{where} is damaged: {error}. {mend}") from error


def read_text(path: Path, most_bytes: int = _MOST_BYTES) -> str:
    """A file's text (UTF-8); ValueError for what is no plain file or larger than any of ours."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no plain file")
    size = path.stat().st_size
    if size > most_bytes:
        raise ValueError(f"it has {plural(size, 'byte')}, at most {most_bytes:,} were expected")
    return path.read_text("utf-8")


def inside(folder: Path, name: str) -> Path:
    """The path of what a stored form names in `folder`; RunError for what lies elsewhere.

    Links are followed: one that leads out of the folder lies elsewhere.
    """
    path = PurePosixPath(name)
    plain = not path.is_absolute() and ".." not in path.parts and "\\" not in name
    if not plain or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise RunError(f"{folder} names {name!r}, which is outside of the folder.")
    return folder / name


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
