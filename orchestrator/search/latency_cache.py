"""Latencies that were measured before: one file each, below the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from orchestrator.contracts import Artifact, Device, Latency, Runtime
from orchestrator.errors import RunError
from orchestrator.files import read_json, write_json
from orchestrator.measuring.agent import PROTOCOL
from orchestrator.paths import cache_dir

__all__ = ["LatencyCache", "caches_latencies"]

_FORMAT = 1
_SWITCH = "ORCHESTRATOR_LATENCY_CACHE"


def caches_latencies() -> bool:
    """Whether the user wants it: `ORCHESTRATOR_LATENCY_CACHE=off` measures everything anew."""
    return os.environ.get(_SWITCH, "on").lower() not in ("off", "0", "false", "no")


class LatencyCache:
    """What sessions measured, by the file's signature on its device and all that it depends on.

    That is the device's fingerprint, its options, its reference network and the version of the
    protocol; where one of them differs nothing is found. Only runtimes have the protocol, so only
    their figures are kept. A session is known as a whole or not at all: what is compared in it is
    measured in it. Cost: a signature and a small file for each artifact.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_dir() / "latencies"

    def find(
        self, files: Sequence[tuple[Device, Artifact]], reference_ms: float, folder: Path
    ) -> list[Latency] | None:
        """The whole session in units of today's `reference_ms`, each figure marked "cache".

        None where a file is not known. `folder` is where the reference network is written.
        """
        paths = self._paths(files, folder)
        if paths is None:
            return None
        found = [self._read(path) for path in paths]
        known = [latency for latency in found if latency is not None]
        if len(known) < len(found):
            return None
        return [replace(k, ms=k.ratio * reference_ms, source="cache") for k in known]

    def keep(
        self,
        files: Sequence[tuple[Device, Artifact]],
        latencies: Sequence[Latency],
        folder: Path,
    ) -> None:
        """Remember a session. Where the cache cannot be written, it just stays as it is."""
        for path, latency in zip(self._paths(files, folder) or (), latencies, strict=False):
            with contextlib.suppress(RunError):
                write_json(path, asdict(latency), format=_FORMAT)

    def _paths(self, files: Sequence[tuple[Device, Artifact]], folder: Path) -> list[Path] | None:
        """One for each file, which is measured with its owner's reference network; None if any is
        on what is no runtime.
        """
        told = []
        for device, artifact in files:
            if not isinstance(device, Runtime):
                return None
            told.append({**self._conditions(device, folder), "file": device.signature(artifact)})
        texts = [json.dumps(item, sort_keys=True) for item in told]
        return [self._folder / f"{hashlib.sha256(t.encode()).hexdigest()}.json" for t in texts]

    def _conditions(self, device: Runtime, folder: Path) -> dict[str, Any]:
        owner = device.owner
        conditions: dict[str, Any] = {
            "device": device.name,
            "options": dict(device.options),
            "fingerprint": dict(device.fingerprint()),
            "reference": owner.signature(owner.reference(folder)),
            "protocol": PROTOCOL,
        }
        if owner is not device:
            conditions["owner"] = [owner.name, dict(owner.options), dict(owner.fingerprint())]
        return conditions

    def _read(self, path: Path) -> Latency | None:
        """None where there is none, or none that this version understands."""
        try:
            return Latency(**read_json(path, format=_FORMAT))
        except (RunError, TypeError):
            return None
