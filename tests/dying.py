"""A device whose measuring process dies, or hangs, as a file beside the search says."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toys import ToyDevice, toy_latencies

from orchestrator import Artifact, Genotype, Latency
from orchestrator.measuring.gate import Gate
from orchestrator.records import Record
from orchestrator.search.meter import measure_with


class DyingDevice(ToyDevice):
    """Dies at each file whose name is in `dies`, once at each in `once`, hangs at `hangs`."""

    name = "dying"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def latencies(self, artifacts: Any, reference_ms: float, folder: Path) -> list[Latency]:
        for artifact in artifacts:
            name = artifact.path.name
            if self._told("once", name):
                (self.folder / "once").unlink()
                ctypes.string_at(0)
            if self._told("dies", name):
                ctypes.string_at(0)
            if self._told("hangs", name):
                time.sleep(600)
        return toy_latencies(artifacts)

    def _told(self, what: str, name: str) -> bool:
        path = self.folder / what
        names = path.read_text().split() if path.exists() else []
        return name in names or "all" in names


def dying_devices(payload: Mapping[str, Any]) -> tuple[dict[str, Any], Gate]:
    """What a meter asks for."""
    folder = Path(payload["folder"])
    return {"dying": DyingDevice(folder)}, Gate(folder / "gate")


def measured(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate that is nothing but its latency."""
    path = Path(payload["folder"]) / str(payload["number"])
    path.write_bytes(bytes(100))
    (latency,) = measure_with(payload["meters"])([Artifact(path, "toy")], "dying")
    return Record(
        payload["number"],
        Genotype.from_json(payload["genotype"]),
        "feasible",
        {"accuracy": 0.5, "params": 1.0},
        latencies={"dying": latency},
    ).to_json()


def segfault(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate whose process dies by itself."""
    from orchestrator.search.ends import traced

    with traced(Path(payload["folder"]) / f".{payload['number']}.died"):
        ctypes.string_at(0)
    return {}
