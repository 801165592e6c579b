"""One network's files and latencies on each of the devices that are asked about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from orchestrator.candidate.assembly import Assembly
from orchestrator.contracts import Artifact, Gauge, Latency, Subject

__all__ = ["Deployment", "Measure"]


class Measure(Protocol):
    """Measures files on a quiet device, by its name, all in one interleaved session."""

    def __call__(self, artifacts: Sequence[Artifact], device: str, /) -> list[Latency]:
        """One latency a file; raises DeviceError and CompileError."""

    def gauge(self, artifact: Artifact, device: str, asked: Gauge, /) -> Mapping[str, float]:
        """Something else about one file; see `Device.gauge`."""


class Deployment:
    """Its files, by the names of devices, and what was measured of them."""

    def __init__(self, assembly: Assembly, measure: Measure) -> None:
        self.assembly = assembly
        self.latencies: dict[str, Latency] = {}
        self._measure = measure
        self._artifacts: Mapping[str, Artifact] = {}
        self._signatures: dict[str, str] = {}
        self._gauged: dict[tuple[str, Gauge], Mapping[str, float]] = {}

    def take(self, artifacts: Mapping[str, Artifact]) -> None:
        """Other files; what was measured is kept where the device says that they are as fast."""
        signed = {name: self.assembly.devices[name].signature(a) for name, a in artifacts.items()}
        self.latencies = {
            name: latency
            for name, latency in self.latencies.items()
            if signed.get(name) == self._signatures.get(name)
        }
        self._gauged = {
            (name, asked): found
            for (name, asked), found in self._gauged.items()
            if signed.get(name) == self._signatures.get(name)
        }
        self._artifacts, self._signatures = artifacts, signed

    def seen(self, subject: Subject, device: str) -> Subject:
        """The subject with its file on a device and what measures it; as it is without a file."""
        if device not in self._artifacts:
            return subject
        return replace(
            subject,
            artifact=self._artifacts[device],
            latency=self._latency(device),
            gauge=partial(self._gauge, device),
        )

    def _gauge(self, device: str, asked: Gauge) -> Mapping[str, float]:
        if (device, asked) not in self._gauged:
            found = self._measure.gauge(self._artifacts[device], device, asked)
            self._gauged[device, asked] = found
        return self._gauged[device, asked]

    def _latency(self, device: str) -> Callable[[], Latency]:
        def latency() -> Latency:
            if device not in self.latencies:
                (self.latencies[device],) = self._measure([self._artifacts[device]], device)
            return self.latencies[device]

        return latency
