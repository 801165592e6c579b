"""What a finalist's folder says of itself: genotype.json, and its other files read and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
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
    "check_files",
    "genotype_of",
    "read_facts",
    "read_tensors",
    "sha256",
    "start_of",
]

# 1 had one file for each label, and called exact what was labelled so.
FORMAT = 2
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
    facts = understood(stored, path, format=FORMAT, before=_with_exactness)
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
    beside = tuple(folder / _plain(folder, name) for name in entry["beside"])
    path = folder / _plain(folder, entry["file"])
    exact = bool(entry["exact"])
    return Artifact(path, entry["format"], label=label, exact=exact, beside=beside)


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
    if Path(name).name != name:
        raise RunError(f"{folder}/genotype.json names {name!r}, which is outside of the folder.")
    return name
