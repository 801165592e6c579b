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
        self, device: Device, artifacts: Sequence[Artifact], reference_ms: float, folder: Path
    ) -> list[Latency] | None:
        """The whole session in units of today's `reference_ms`, each figure marked "cache".

        None where a file is not known. `folder` is where the reference network is written.
        """
        if not isinstance(device, Runtime):
            return None
        found = [self._read(path) for path in self._paths(device, artifacts, folder)]
        known = [latency for latency in found if latency is not None]
        if len(known) < len(found):
            return None
        return [replace(k, ms=k.ratio * reference_ms, source="cache") for k in known]

    def keep(
        self,
        device: Device,
        artifacts: Sequence[Artifact],
        latencies: Sequence[Latency],
        folder: Path,
    ) -> None:
        """Remember a session. Where the cache cannot be written, it just stays as it is."""
        if not isinstance(device, Runtime):
            return
        for path, latency in zip(self._paths(device, artifacts, folder), latencies, strict=True):
            with contextlib.suppress(RunError):
                write_json(path, asdict(latency), format=_FORMAT)

    def _paths(self, device: Runtime, artifacts: Sequence[Artifact], folder: Path) -> list[Path]:
        conditions: dict[str, Any] = {
            "device": device.name,
            "options": dict(device.options),
            "fingerprint": dict(device.fingerprint()),
            "reference": device.signature(device.reference(folder)),
            "protocol": PROTOCOL,
        }
        told = [{**conditions, "file": device.signature(artifact)} for artifact in artifacts]
        texts = [json.dumps(item, sort_keys=True) for item in told]
        return [self._folder / f"{hashlib.sha256(t.encode()).hexdigest()}.json" for t in texts]

    def _read(self, path: Path) -> Latency | None:
        """None where there is none, or none that this version understands."""
        try:
            return Latency(**read_json(path, format=_FORMAT))
        except (RunError, TypeError):
            return None
