"""The process that measures at a place, and how others ask it."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError
from ray.experimental import internal_kv

from orchestrator.contracts import Artifact, Device, Gauge, Latency
from orchestrator.errors import DeviceError, plural
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.measuring.gate import quiet
from orchestrator.search.ends import MeterDeath, cause
from orchestrator.search.latency_cache import LatencyCache

__all__ = ["START_S", "Measuring", "Meter", "measure_with", "serves"]

# The longest that a measuring process takes to start and to time its reference network.
START_S = 120.0
_LOOK_S = 0.5
# Deaths of a meter at one question until that, or the device, is to blame; and how often it is
# asked at most where others' questions kill it.
_DEATHS = 2
_TURNS = 6


class Meter:
    """The one process that measures at a place; its calls queue up, so they never overlap."""

    def __init__(self, function: str, payload: Mapping[str, Any]) -> None:
        module, _, name = function.partition(":")
        self._make = getattr(importlib.import_module(module), name)
        devices, self._gate = self._make(payload)
        self._devices: Mapping[str, Device] = devices
        self._cache = LatencyCache() if payload.get("latency_cache") else None
        self._own = WorkingFolder("meter")

    @property
    def _folder(self) -> Path:
        """For files on their way; made again where the system swept it."""
        return self._own.kept().path

    def calibrate(self) -> dict[str, float]:
        """The reference network's milliseconds on each device."""
        found = {}
        for name, device in self._devices.items():
            with quiet(self._gate, here=device.shares_host):
                found[name] = device.calibrate(self._folder)
        return found

    def ready(self) -> None:
        """Answered once the process is there, again where it was started anew."""

    def measure(
        self,
        sent: Sequence[tuple[Artifact, Sequence[bytes]]],
        seats: Sequence[str],
        reference_ms: Mapping[str, float],
        fresh: bool = False,
        *,
        asked_by: str = "",
    ) -> list[Latency]:
        """Latencies of artifacts, sent with the content of their files, each at the seat beside it.

        Whatever has one owner is measured in one session; that of an earlier one is told again
        where all of it is known, unless `fresh`.
        """
        with self._asked(asked_by), tempfile.TemporaryDirectory(dir=self._folder) as folder:
            files = [
                (self._devices[name], _received(artifact, contents, Path(folder) / str(number)))
                for number, ((artifact, contents), name) in enumerate(zip(sent, seats, strict=True))
            ]
            found: dict[int, Latency] = {}
            for owner in dict.fromkeys(device.owner for device, _ in files):
                theirs = [n for n, (device, _) in enumerate(files) if device.owner is owner]
                session = [files[n] for n in theirs]
                known_ms = reference_ms[self._seat(owner)]
                found |= zip(theirs, self._session(session, known_ms, fresh=fresh), strict=True)
            return [found[number] for number in range(len(files))]

    def _session(
        self, files: Sequence[tuple[Device, Artifact]], reference_ms: float, *, fresh: bool
    ) -> list[Latency]:
        owner = files[0][0].owner
        if self._cache and not fresh:
            known = self._cache.find(files, reference_ms, self._folder)
            if known is not None:
                return known
        with quiet(self._gate, here=owner.shares_host):
            found = list(owner.latencies_together(files, reference_ms, self._folder))
        if self._cache:
            self._cache.keep(files, found, self._folder)
        return found

    def _seat(self, device: Device) -> str:
        return next(name for name, known in self._devices.items() if known is device)

    def gauge(
        self,
        sent: tuple[Artifact, Sequence[bytes]],
        device_name: str,
        asked: Gauge,
        known: float,
        *,
        asked_by: str = "",
    ) -> Mapping[str, float]:
        """Something else about one file; `known` is the reference's milliseconds."""
        device = self._devices[device_name]
        with self._asked(asked_by), tempfile.TemporaryDirectory(dir=self._folder) as folder:
            artifact = _received(*sent, Path(folder) / "0")
            with quiet(self._gate, here=device.shares_host):
                return dict(device.gauge(artifact, asked, known, self._folder))

    @contextlib.contextmanager
    def _asked(self, asked_by: str) -> Iterator[None]:
        """Whoever is served is known where this process dies of it: Ray remembers the name."""
        if not asked_by:
            yield
            return
        key = ray.get_runtime_context().get_actor_name().encode()
        internal_kv._internal_kv_put(key, asked_by.encode())
        try:
            yield
        except Exception:  # no more: what takes the process with it has to leave the name
            internal_kv._internal_kv_del(key)
            raise
        internal_kv._internal_kv_del(key)

    def close(self) -> None:
        """Leave nothing behind."""
        for device in self._devices.values():
            device.close()
        self._own.close()


def measure_with(meters: Mapping[str, tuple[str, float]], *, fresh: bool = False) -> Measuring:
    """Measuring by named meters, from any process of the cluster; see `Cluster.meters`.

    `fresh` takes nothing from earlier sessions.
    """
    return Measuring(meters, fresh)


@dataclass(frozen=True)
class Measuring:
    """Asks the meters, and waits for their answer."""

    meters: Mapping[str, tuple[str, float]]
    fresh: bool = False

    def __call__(
        self, artifacts: Sequence[Artifact], device: str | Sequence[str], /
    ) -> list[Latency]:
        """One latency a file; `device` is the seat of all of them, or one for each at one place."""
        seats = [device] * len(artifacts) if isinstance(device, str) else list(device)
        known = {seat: reference_ms for seat, (_, reference_ms) in self.meters.items()}
        sent = [_sent(artifact) for artifact in artifacts]
        return list(self._answer(seats[0], "measure", sent, seats, known, self.fresh))

    def gauge(self, artifact: Artifact, device: str, asked: Gauge, /) -> Mapping[str, float]:
        """Something else about one file; see `Device.gauge`."""
        known = self.meters[device][1]
        return dict(self._answer(device, "gauge", _sent(artifact), device, asked, known))

    def _answer(self, seat: str, question: str, *told: Any) -> Any:
        """Of the meter of a place; one that dies is waited for and asked again.

        Raises MeterDeath where it dies of this question as often as `_DEATHS`.
        """
        name, _ = self.meters[seat]
        me = ray.get_runtime_context().get_task_id() or "driver"
        deaths = 0
        for _ in range(_TURNS):
            meter = _meter(name)
            try:
                return ray.get(getattr(meter, question).remote(*told, asked_by=me))
            except RayActorError:
                # Whoever only waited for its turn is not to blame.
                deaths += serves(name) == me
                _wait_for(meter, name)
            except RayError as error:
                raise cause(error) from None
            if deaths == _DEATHS:
                break
        raise MeterDeath(
            f"the measuring process of device {seat} died {plural(_DEATHS, 'time')} at it."
        )


def serves(meter: str) -> str:
    """Whose question a meter answers, or died of: the task's id; empty where it rests."""
    return (internal_kv._internal_kv_get(meter.encode()) or b"").decode()


def _meter(name: str) -> Any:
    try:
        return ray.get_actor(name)
    except ValueError as error:
        raise DeviceError(
            f"the measuring process is gone, and does not start again: {error}"
        ) from None


def _wait_for(meter: Any, name: str) -> None:
    """Until it is there again; raises DeviceError."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            ray.get(meter.ready.remote(), timeout=START_S)
            return
        except ActorUnavailableError:
            time.sleep(_LOOK_S)
        except RayError as error:
            raise DeviceError(f"{name} does not start again: {cause(error)}") from None
    raise DeviceError(f"{name} does not start again within {START_S:.0f} s.")


def _sent(artifact: Artifact) -> tuple[Artifact, list[bytes]]:
    """With the content of its files, as the meter may be on another machine."""
    return artifact, [file.read_bytes() for file in artifact.files]


def _received(artifact: Artifact, contents: Sequence[bytes], folder: Path) -> Artifact:
    """The artifact as it lies in `folder` here, its files under their own names."""
    folder.mkdir()
    path, *beside = (folder / file.name for file in artifact.files)
    for file, content in zip((path, *beside), contents, strict=True):
        file.write_bytes(content)
    return replace(artifact, path=path, beside=tuple(beside))
