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

from orchestrator.bundle.shape import check_shape
from orchestrator.contracts import Artifact, ImageFacts
from orchestrator.errors import RunError
from orchestrator.files import inside, read_text, reading, understood
from orchestrator.records import Credit, Genotype

__all__ = [
    "EXACT",
    "FORMAT",
    "artifact_of",
    "beside",
    "check_file",
    "check_files",
    "genotype_of",
    "is_bundle",
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
_MEND = "Write the bundle again."
# Of genotype.json, which is a few kB.
_MOST_BYTES = 64 * 2**20


def read_facts(folder: Path) -> dict[str, Any]:
    """genotype.json, checked, in today's form; raises RunError."""
    path = folder / "genotype.json"
    if not is_bundle(folder):
        raise RunError(
            f"{folder} is no finalist's folder: it holds no genotype.json. "
            "The folders of a run's finalists are below its models."
        )
    with reading(path, _MEND):
        stored = json.loads(read_text(path, _MOST_BYTES))
        if isinstance(stored, dict) and stored.get("format") == 1:
            stored = {**_with_exactness(stored), "format": 2}
        facts = understood(stored, path, format=FORMAT, before=_with_runtimes)
        needed = _NEEDED | set(ImageFacts.__dataclass_fields__)
        if missing := sorted(needed - set(facts)):
            raise RunError(f"{path} lacks {', '.join(missing)}. {_MEND}")
        check_shape(facts)
        for name in _named(facts):
            inside(folder, name)
            if name not in facts["sha256"]:
                raise RunError(
                    f"{path}: sha256 does not tell of {name!r}, so nobody can say "
                    f"whether it is the file that was written. {_MEND}"
                )
    return facts


def is_bundle(folder: Path) -> bool:
    """Whether a path is a finalist's folder; any other text is none."""
    try:
        return (folder / "genotype.json").exists()
    except OSError:  # a name that is too long, a folder that is closed
        return False


def _named(facts: Mapping[str, Any]) -> list[str]:
    """Every file that a folder's facts name, and those of its networks."""
    files = [n for e in facts["artifacts"].values() for n in (e["file"], *e["beside"])]
    stems = ("weights.safetensors", "check.safetensors")
    return files + [beside(stem, network) for network in networks_of(facts) for stem in stems]


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
    with reading(folder / "genotype.json", _MEND):
        return Genotype.from_json(facts["genotype"])


def start_of(facts: Mapping[str, Any], folder: Path) -> Credit | None:
    """Whom a network's starting weights are owed to; None where it started from noise.

    Raises RunError.
    """
    told = facts.get("start")
    with reading(folder / "genotype.json", _MEND):
        return None if told is None else Credit.from_json(told)


def artifact_of(facts: Mapping[str, Any], label: str, folder: Path) -> Artifact:
    """One of a folder's files and what it needs beside it.

    Raises RunError unless each is the file that was written.
    """
    entry = facts["artifacts"][label]
    others = tuple(folder / name for name in entry["beside"])
    path = folder / entry["file"]
    exact = bool(entry["exact"])
    for name in (entry["file"], *entry["beside"]):
        check_file(facts, folder, name)
    return Artifact(path, entry["format"], label=label, exact=exact, beside=others)


def check_files(facts: Mapping[str, Any], folder: Path) -> None:
    """Raise RunError for a file that is missing, or not the one that was written."""
    for name in facts["sha256"]:
        check_file(facts, folder, name)


def check_file(facts: Mapping[str, Any], folder: Path, name: str) -> None:
    """Raise RunError for one that is missing, lies elsewhere, or is not the one written."""
    path = inside(folder, name)
    if not path.is_file():
        raise RunError(f"{path} is missing. {_MEND}")
    if sha256(path) != facts["sha256"].get(name):
        raise RunError(f"{path} is not the file that was written: its sha256 differs.")


def read_tensors(facts: Mapping[str, Any], folder: Path, name: str) -> dict[str, Tensor]:
    """One of a folder's safetensors files; raises RunError unless it is the one written."""
    path = inside(folder, name)
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != facts["sha256"].get(name):
            raise RunError(f"{path} is not the file that was written: its sha256 differs.")
        return safetensors.torch.load(content)  # type: ignore[no-any-return]
    except FileNotFoundError:
        raise RunError(f"{path} is missing. {_MEND}") from None
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}. {_MEND}") from error


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
