"""The files of one network's variants on each device that is asked, and what is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from orchestrator.candidate.assembly import Assembly
from orchestrator.candidate.variants import VariantFiles
from orchestrator.contracts import Artifact, Gauge, Latency, Subject
from orchestrator.errors import CandidateError, CompileError, DeviceError, RunError, disk_trouble

__all__ = ["Measure", "Sitting", "together"]


class Measure(Protocol):
    """Measures files on a quiet device, by its name, all in one interleaved session.

    A device's runtimes have names of their own, their seats.
    """

    def __call__(
        self, artifacts: Sequence[Artifact], device: str | Sequence[str], /
    ) -> list[Latency]:
        """One latency a file, on one device or each at the seat of its own at one place.

        Raises DeviceError and CompileError.
        """

    def gauge(self, artifact: Artifact, device: str, asked: Gauge, /) -> Mapping[str, float]:
        """Something else about one file; see `Device.gauge`."""


def together(
    files: Mapping[Any, tuple[Artifact, str]], measure: Measure
) -> dict[Any, Latency | CandidateError]:
    """Files, each at its seat, in one session; by their keys.

    A file that it breaks at is found, and the others are measured again. Raises DeviceError, and
    CandidateError for a session that breaks although each of its files runs alone.
    """
    try:
        return _measured(files, measure)
    except CandidateError as error:
        if len(files) == 1:
            return dict.fromkeys(files, error)
        whole = error
    broken: dict[Any, Latency | CandidateError] = {}
    for key, file in files.items():
        try:
            _measured({key: file}, measure)
        except CandidateError as error:
            broken[key] = error
    if not broken:
        raise whole
    return broken | together({k: f for k, f in files.items() if k not in broken}, measure)


def _measured(
    files: Mapping[Any, tuple[Artifact, str]], measure: Measure
) -> dict[Any, Latency | CandidateError]:
    artifacts = [artifact for artifact, _ in files.values()]
    seats = [seat for _, seat in files.values()]
    found = measure(artifacts, seats) if files else []
    return dict(zip(files, found, strict=True))


class Sitting:
    """The variants of one network on each device that is asked: measured there all together.

    What a sitting `before` measured is known where the device says that each of the files is as
    fast as one that was there.
    """

    def __init__(
        self,
        assembly: Assembly,
        measure: Measure,
        made: Sequence[VariantFiles],
        before: Sitting | None = None,
    ) -> None:
        self._assembly = assembly
        self._measure = measure
        self._made = made
        self._known: dict[tuple[str, str], Latency] = dict(before._known) if before else {}
        self._gauged: dict[tuple[str, str, Gauge], Mapping[str, float]] = {}
        self._gauged |= before._gauged if before else {}
        self._found: dict[str, dict[int, Latency | CandidateError]] = {}

    def seen(self, subject: Subject, number: int, device: str) -> Subject:
        """The subject with the file of a variant, by its place in the list, and what measures it.

        Raises what kept the file from being made.
        """
        made = self._made[number]
        if made.error is not None:
            raise made.error
        if device not in made.files:
            return subject
        return replace(
            subject,
            artifact=made.files[device],
            latency=lambda: self._latency(number, device),
            gauge=lambda asked: self._gauge(number, device, asked),
        )

    def made(self, number: int) -> VariantFiles | None:
        """A variant's files; None where none of the network were needed."""
        return self._made[number] if self._made else None

    def latencies(self, number: int) -> dict[str, Latency]:
        """What was measured of a variant, by device."""
        found = {device: told.get(number) for device, told in self._found.items()}
        return {device: known for device, known in found.items() if isinstance(known, Latency)}

    def _latency(self, number: int, device: str) -> Latency:
        if device not in self._found:
            self._found[device] = self._session(device)
        found = self._found[device][number]
        if isinstance(found, CandidateError):
            raise found
        return found

    def _session(self, device: str) -> dict[int, Latency | CandidateError]:
        there = [n for n, made in enumerate(self._made) if made.error is None]
        keys, broken = self._keys(there, device)
        if all(key in self._known for key in keys.values()):
            return {number: self._known[key] for number, key in keys.items()} | broken
        # What several variants share is measured once.
        first = {key: number for number, key in reversed(list(keys.items()))}
        timed = self._together(sorted(first.values()), device)
        for key, number in first.items():
            if isinstance(latency := timed[number], Latency):
                self._known[key] = latency
        return {number: timed[first[key]] for number, key in keys.items()} | broken

    def _keys(
        self, numbers: Sequence[int], device: str
    ) -> tuple[dict[int, tuple[str, str]], dict[int, Latency | CandidateError]]:
        """By what each file is known, and what is wrong with those that cannot be read.

        A file that a plugin did not write costs its own variant and not the others.
        """
        keys: dict[int, tuple[str, str]] = {}
        broken: dict[int, Latency | CandidateError] = {}
        for number in numbers:
            try:
                keys[number] = self._key(number, device)
                for file in self._made[number].files[device].files:
                    file.open("rb").close()
            except (DeviceError, RunError):
                raise
            except Exception as error:  # runtimes' libraries have kinds of their own
                if disk_trouble(error):
                    raise
                broken[number] = CompileError(f"its file cannot be read: {error}")
        return keys, broken

    def _together(self, numbers: Sequence[int], device: str) -> dict[int, Latency | CandidateError]:
        files = {n: (self._made[n].files[device], self._seat(n, device)) for n in numbers}
        return together(files, self._measure)

    def _gauge(self, number: int, device: str, asked: Gauge) -> Mapping[str, float]:
        key = (*self._key(number, device), asked)
        if key not in self._gauged:
            artifact = self._made[number].files[device]
            self._gauged[key] = self._measure.gauge(artifact, self._seat(number, device), asked)
        return self._gauged[key]

    def _key(self, number: int, device: str) -> tuple[str, str]:
        made = self._made[number]
        runtime = self._assembly.runtime(made.genotype.runtime, device)
        return self._seat(number, device), runtime.signature(made.files[device])

    def _seat(self, number: int, device: str) -> str:
        return self._assembly.seat(device, self._made[number].genotype.runtime)
