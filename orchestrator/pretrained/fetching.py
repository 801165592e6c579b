"""Where a released file is: in the cache, in an installed package, or on the network.

Kept are safetensors by the sha256 of the file they were made of, `SHA256.safetensors`, each with
`SHA256.json` beside it that says where it came from. Both are written whole. The network is asked
by plain HTTPS with the standard library: no account, no second cache, nothing more to install.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.analysis.display import human
from orchestrator.bundle.facts import sha256
from orchestrator.errors import DISK_ERRORS, WeightsError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.files import replacing, write_json
from orchestrator.paths import cache_dir
from orchestrator.pretrained.listing import Listed
from orchestrator.pretrained.reading import SAFE, read_state

__all__ = ["Fetched", "at_hand", "fetch", "same_hash", "weights_cache"]

_FORMAT = 1
_SECONDS = 30.0
_CHUNK = 1 << 20
# A mirror of the hub may stand in for it, as with its own tools.
_HUB = "HF_ENDPOINT"


@dataclass(frozen=True)
class Fetched:
    """A file to read, the sha256 of the released one it was made of, and where that came from."""

    path: Path
    sha256: str
    source: str


def weights_cache() -> Path:
    """The folder of fetched weights; `ORCHESTRATOR_CACHE` moves it."""
    return cache_dir() / "weights"


def at_hand(listed: Listed) -> Fetched | None:
    """The file in the cache or in an installed package; None where the network is needed."""
    return _cached(listed) or next(iter(_packaged(listed)), None)


def fetch(listed: Listed) -> Fetched:
    """The file at hand, or from the network into the cache; raises WeightsError."""
    found = at_hand(listed)
    if found is not None:
        return found
    reasons: dict[str, str] = {}
    for location in _remote(listed):
        _make_cache()
        try:
            return _downloaded(listed, location)
        except OSError as error:  # no network, no such host, no such file
            if error.errno in DISK_ERRORS:
                raise WeightsError(_unwritable(error)) from error
            reasons[location] = str(error)
    raise WeightsError(_unreachable(listed, reasons))


def _make_cache() -> None:
    """Before the network is asked, so that a fault here is not taken for one there."""
    cache = weights_cache()
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(cache, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise WeightsError(_unwritable(error)) from error


def _unwritable(error: OSError) -> str:
    return (
        f"{weights_cache()} cannot be written: {error.strerror}. Free some space, or set "
        "ORCHESTRATOR_CACHE to a folder that can be written."
    )


def same_hash(told: str, found: str) -> bool:
    """Whether a hash is the one told, whole or by its leading digits; nothing told is no proof."""
    return bool(told) and found.startswith(told.lower())


def _cached(listed: Listed) -> Fetched | None:
    told, locations = listed.checkpoint.sha256, listed.checkpoint.locations
    for note in sorted(weights_cache().glob("*.json")):
        kept = _kept(note)
        if kept is None:
            continue
        same = same_hash(told, kept.sha256) if told else kept.source in locations
        if same and kept.path.is_file():
            return kept
    return None


def _kept(note: Path) -> Fetched | None:
    """What a note in the cache says; None for one that is damaged, newer, or of a changed file."""
    try:
        told = json.loads(note.read_text("utf-8"))
        path = note.with_suffix(SAFE)
        if told["format"] != _FORMAT or path.stat().st_size != told["bytes"]:
            return None
        return Fetched(path, str(told["sha256"]), str(told["source"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _packaged(listed: Listed) -> Iterator[Fetched]:
    """Files of installed packages that are the released one."""
    told = listed.checkpoint.sha256
    for found in _installed(listed):
        if not told or same_hash(told, found.sha256):
            yield found


def _installed(listed: Listed) -> Iterator[Fetched]:
    for location in listed.checkpoint.locations:
        if location.startswith("pkg://"):
            package, _, name = location.removeprefix("pkg://").partition("/")
            for path in (folder / name for folder in _folders(package)):
                if path.is_file():
                    yield Fetched(path, sha256(path), location)


def _folders(package: str) -> list[Path]:
    """Where a package lies; it is not imported, as only its files are wanted."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec and spec.submodule_search_locations) or ()]


def _remote(listed: Listed) -> list[str]:
    return [where for where in listed.checkpoint.locations if not where.startswith("pkg://")]


def address(location: str) -> str:
    """The URL of "hf://OWNER/NAME/FILE" or of what is one already."""
    if not location.startswith("hf://"):
        return location
    owner, name, file = location.removeprefix("hf://").split("/", 2)
    hub = os.environ.get(_HUB, "https://huggingface.co").rstrip("/")
    return f"{hub}/{owner}/{name}/resolve/main/{urllib.parse.quote(file)}"


def _downloaded(listed: Listed, location: str) -> Fetched:
    with _arriving(location) as part:
        found = sha256(part)
        _check_hash(listed, found, address(location))
        path = weights_cache() / f"{found}{SAFE}"
        _convert(part, path)
    note: Mapping[str, Any] = {
        "name": listed.name,
        "source": location,
        "sha256": found,
        "licence": listed.checkpoint.licence,
        "bytes": path.stat().st_size,
    }
    write_json(path.with_suffix(".json"), note, format=_FORMAT)
    return Fetched(path, found, location)


@contextmanager
def _arriving(location: str) -> Iterator[Path]:
    """The released file in a folder of its own within the cache, which is removed afterwards.

    What a killed process left there of a file goes too.
    """
    cache = weights_cache()
    url = address(location)
    suffix = Path(urllib.parse.urlparse(url).path).suffix
    with WorkingFolder("arriving", cache) as folder:
        part = folder / f"released{suffix}"
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer, part.open("wb") as out:
            shutil.copyfileobj(answer, out, _CHUNK)
        yield part


def _convert(part: Path, path: Path) -> None:
    """What arrived as safetensors, whole; such a file is kept byte by byte."""
    import safetensors.torch

    state = read_state(part)
    with replacing(path) as draft:
        if part.suffix == SAFE:
            shutil.copyfile(part, draft)
        else:
            plain = {name: tensor.clone().contiguous() for name, tensor in state.items()}
            safetensors.torch.save_file(plain, draft)


def _check_hash(listed: Listed, found: str, where: str) -> None:
    told = listed.checkpoint.sha256
    if told and not same_hash(told, found):
        raise WeightsError(_another(listed, found, where))


def _another(listed: Listed, found: str, where: str) -> str:
    return (
        f"weights={listed.name}: {where} has sha256 {found}, expected "
        f"{listed.checkpoint.sha256}, so it is not the file that was released. Fetch it again, or "
        "from elsewhere and say weights=PATH."
    )


def _unreachable(listed: Listed, reasons: Mapping[str, str]) -> str:
    checkpoint = listed.checkpoint
    for other in _installed(listed) if not reasons else ():
        return _another(listed, other.sha256, str(other.path))
    if not reasons:
        return (
            f"weights={listed.name}: not in {weights_cache()}, and no package here holds it "
            f"({', '.join(checkpoint.locations)}). Install that package, or leave weights=null."
        )
    location, reason = next(iter(reasons.items()))
    url = urllib.parse.urlparse(address(location))
    size = f"{human(checkpoint.size_bytes, 'bytes')}, " if checkpoint.size_bytes else ""
    told = checkpoint.sha256 or "told by nobody"
    return (
        f"weights={listed.name}: not in {weights_cache()} and {url.netloc} cannot be reached. "
        f"Fetch {url.geturl()} ({size}sha256 {told}) elsewhere and say weights=PATH, or leave "
        f"weights=null. (It was tried: {reason})"
    )
