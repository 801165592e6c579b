"""What a finalist's folder says of itself: genotype.json, and its other files read and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from orchestrator.contracts import Artifact, ImageFacts
from orchestrator.errors import RunError
from orchestrator.files import understood
from orchestrator.records import Credit, Genotype

__all__ = [
    "EXACT",
    "FORMAT",
    "artifact_of",
    "beside",
    "check_files",
    "genotype_of",
    "networks_of",
    "read_facts",
    "read_tensors",
    "sha256",
    "start_of",
]

# 1 had one file for each label, and called exact what was labelled so. 2 had one network, said of
# no file which runtime is for it, and named what it recommends by the file.
FORMAT = 3
# The label of the file that a network is compiled to, before any compressor changed it.
EXACT = "fp32"
_NEEDED = {"genotype", "space_options", "artifacts", "sha256"}


def read_facts(folder: Path) -> dict[str, Any]:
    """genotype.json, checked, in today's form; raises RunError."""
    path = folder / "genotype.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} is no finalist's folder: it holds no genotype.json.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error!r}. Write the bundle again.") from error
    if isinstance(stored, dict) and stored.get("format") == 1:
        stored = {**_with_exactness(stored), "format": 2}
    facts = understood(stored, path, format=FORMAT, before=_with_runtimes)
    needed = _NEEDED | set(ImageFacts.__dataclass_fields__)
    if missing := sorted(needed - set(facts)):
        raise RunError(f"{path} lacks {', '.join(missing)}. Write the bundle again.")
    return facts


def _with_exactness(old: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1 as format 2."""
    if "artifacts" not in old:
        return dict(old)
    files = {
        label: {**entry, "exact": label == EXACT, "beside": []}
        for label, entry in old["artifacts"].items()
    }
    return {**old, "artifacts": files, "ranges": {}}


def _with_runtimes(old: Mapping[str, Any]) -> dict[str, Any]:
    """Format 2 as format 3."""
    if "artifacts" not in old:
        return dict(old)
    entries = {k: {**v, "runtime": "", "network": ""} for k, v in old["artifacts"].items()}
    named = (k for k, v in entries.items() if v["file"] == old.get("recommended"))
    return {**old, "artifacts": entries, "recommended": next(named, None), "files": []}


def networks_of(facts: Mapping[str, Any]) -> list[str]:
    """The names of a folder's networks, the one that its genotype says first: ""."""
    named = (entry["network"] for entry in facts["artifacts"].values())
    return list(dict.fromkeys(["", *named]))


def beside(name: str, network: str) -> str:
    """The file's name for one of a folder's networks: "weights.unpruned.safetensors"."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{network}.{suffix}" if network else name


def genotype_of(facts: Mapping[str, Any], folder: Path) -> Genotype:
    """The genotype in a folder's facts; raises RunError."""
    try:
        return Genotype.from_json(facts["genotype"])
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder}/genotype.json: the genotype is damaged: {error!r}.") from error


def start_of(facts: Mapping[str, Any], folder: Path) -> Credit | None:
    """Whom a network's starting weights are owed to; None where it started from noise.

    Raises RunError.
    """
    told = facts.get("start")
    try:
        return None if told is None else Credit.from_json(told)
    except (TypeError, AttributeError) as error:
        raise RunError(f"{folder}/genotype.json: its start is damaged: {error!r}.") from error


def artifact_of(facts: Mapping[str, Any], label: str, folder: Path) -> Artifact:
    """One of a folder's files and what it needs beside it; raises RunError."""
    entry = facts["artifacts"][label]
    others = tuple(folder / _plain(folder, name) for name in entry["beside"])
    path = folder / _plain(folder, entry["file"])
    exact = bool(entry["exact"])
    return Artifact(path, entry["format"], label=label, exact=exact, beside=others)


def check_files(facts: Mapping[str, Any], folder: Path) -> None:
    """Raise RunError for a file that is missing, or not the one that was written."""
    for name, expected in facts["sha256"].items():
        path = folder / _plain(folder, name)
        if not path.is_file():
            raise RunError(f"{path} is missing. Write the bundle again.")
        if sha256(path) != expected:
            raise RunError(f"{path} is not the file that was written: its sha256 differs.")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file; raises RunError."""
    try:
        return safetensors.torch.load(path.read_bytes())  # type: ignore[no-any-return]
    except FileNotFoundError:
        raise RunError(f"{path} is missing. Write the bundle again.") from None
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. Write the bundle again.") from error


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(folder: Path, name: str) -> str:
    """A file of the folder, or of a folder in it."""
    path = PurePosixPath(name)
    if path.is_absolute() or len(path.parts) > 2 or ".." in path.parts or "\\" in name:
        raise RunError(f"{folder}/genotype.json names {name!r}, which is outside of the folder.")
    return name
