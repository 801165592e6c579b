"""Ray, started here or joined: workers for candidates, one measuring process for each place."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import secrets
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray
from ray._private import ray_constants
from ray.exceptions import RayError

from orchestrator.contracts import Artifact, Device, Gauge, Latency
from orchestrator.errors import DeviceError, OrchestratorError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.measuring.gate import quiet
from orchestrator.search.latency_cache import LatencyCache
from orchestrator.search.stopping import Stopping

__all__ = ["WORKER_ENV", "Cluster", "Job", "Measuring", "Resources", "measure_with"]

# Idle OpenMP threads that spin cost 50× on a busy machine, so they sleep. Set before torch loads.
# oneDNN compiles a kernel for each shape and keeps 1024: too few for networks that take turns in
# one process, as those with shared weights do, where compiling anew costs 1.6× a step.
WORKER_ENV = {"OMP_WAIT_POLICY": "passive", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16384"}
# A machine whose name does not resolve still reaches itself; only without other hosts.
# Despite its name the second is asked on every system: Ray then takes 127.0.0.1 for its address.
_ALONE_ENV = {"GLOO_SOCKET_IFNAME": "lo", ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}
_QUIET_ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
}
_METER_START_S = 120.0
_METER_END_S = 5.0
_WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Resources:
    """What one candidate takes, how many run at once, and which devices measure, by name.

    `gpus` is filled in by `Cluster`, which knows what there is.
    """

    concurrent: int = 1
    threads: int = 1
    gpus: float = 0.0
    devices: tuple[str, ...] = ()
    address: str | None = None


@dataclass(frozen=True)
class Job:
    """A function that workers import ("module:function") and what every call shares.

    The function takes one mapping of plain values (`common` plus the call's own) and returns one.
    """

    function: str
    common: Mapping[str, Any]


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def call(function: str, payload: Mapping[str, Any]) -> Any:
    """Run `function` in a worker of Ray's pool."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(payload)


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

    def measure(
        self,
        sent: Sequence[tuple[Artifact, Sequence[bytes]]],
        seats: Sequence[str],
        reference_ms: Mapping[str, float],
        fresh: bool = False,
    ) -> list[Latency]:
        """Latencies of artifacts, sent with the content of their files, each at the seat beside it.

        Whatever has one owner is measured in one session; that of an earlier one is told again
        where all of it is known, unless `fresh`.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
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
        self, sent: tuple[Artifact, Sequence[bytes]], device_name: str, asked: Gauge, known: float
    ) -> Mapping[str, float]:
        """Something else about one file; `known` is the reference's milliseconds."""
        device = self._devices[device_name]
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            artifact = _received(*sent, Path(folder) / "0")
            with quiet(self._gate, here=device.shares_host):
                return dict(device.gauge(artifact, asked, known, self._folder))

    def close(self) -> None:
        """Leave nothing behind."""
        for device in self._devices.values():
            device.close()
        self._own.close()


class Cluster:
    """A context manager around Ray. Leaves a joined cluster running, ends its own."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        # Seat → its meter's name and the milliseconds of the reference network there.
        self.meters: dict[str, tuple[str, float]] = {}
        self.stopping = Stopping()
        self._actors: list[Any] = []
        self._started = False
        self._own: WorkingFolder | None = None

    def __enter__(self) -> Self:
        os.environ.update(WORKER_ENV | _QUIET_ENV)
        if not self.resources.address:
            os.environ.update(_ALONE_ENV)
            ray_constants.ENABLE_RAY_CLUSTER = False  # what this process has read already
        if not ray.is_initialized():
            if not self.resources.address:
                self._own = WorkingFolder("ray", short=True)
            self._started = True
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._start()
        self.stopping.__enter__()
        self.resources = self._with_gpus()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.__exit__(kind, error, trace)
        for actor in self._actors:
            with contextlib.suppress(RayError):
                ray.get(actor.close.remote(), timeout=_METER_END_S)
            ray.kill(actor)
        if self._started:
            ray.shutdown()
        if self._own is not None:
            self._own.close()

    def start_meter(
        self, job: Job, devices: Sequence[str], reference_ms: Mapping[str, float]
    ) -> None:
        """Start the measuring process of one place, for these of its devices. Raises DeviceError.

        `job.function` gives the devices by name, and a gate. A search passes the references it
        began with, so that its figures stay comparable when it is resumed.
        """
        name = f"meter-{os.getpid()}-{id(self)}-{len(self._actors)}"
        options = {"name": name, "resources": self._labels(devices)}
        actor = ray.remote(num_cpus=0, max_restarts=1)(Meter)
        payload = {**job.common, "devices": list(devices)}
        self._actors.append(actor.options(**options).remote(job.function, payload))
        found = self._wait(self._actors[-1].calibrate.remote())
        for seat in found:
            self.meters[seat] = (name, float({**found, **reference_ms}[seat]))

    def measure(self, artifacts: Sequence[Artifact], device: str | Sequence[str]) -> list[Latency]:
        """Latencies on the quiet device, all in one session."""
        return measure_with(self.meters)(artifacts, device)

    def _labels(self, devices: Sequence[str]) -> dict[str, int]:
        """What Ray calls the nodes that have these devices; only a joined cluster must."""
        labels = {f"device:{device}": 1 for device in devices}
        missing = sorted(labels.keys() - _resources().keys())
        if self.resources.address and missing:
            raise DeviceError(
                f"no node of the cluster offers {', '.join(map(repr, missing))}. Start one with "
                f"ray start --resources='{json.dumps(labels)}'."
            )
        return {} if missing else labels

    def map(
        self,
        job: Job,
        payloads: Sequence[Mapping[str, Any]],
        watch: Callable[[], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """(index, result or exception) of each payload, in the order in which they finish.

        `watch` is called twice a second while nothing finishes.
        """
        waiting = list(enumerate(payloads))
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < self.resources.concurrent:
                index, payload = waiting.pop(0)
                task = call.options(**task_options(self.resources))
                running[task.remote(job.function, {**job.common, **payload})] = index
            timeout = _WATCH_SECONDS if watch else None
            ready, _ = ray.wait(list(running), num_returns=1, timeout=timeout)
            self.stopping.check()
            if watch:
                watch()
            if not ready:
                continue
            (done,) = ready
            try:
                result: Any = ray.get(done)
            except RayError as error:
                result = cause(error)
            yield running.pop(done), result

    def _start(self) -> None:
        try:
            ray.init(**self._arguments())
        except (ConnectionError, RuntimeError, ValueError) as error:
            if not self.resources.address:
                raise
            raise DeviceError(
                f"no Ray cluster answers at run.address={self.resources.address}: {error}. Check "
                "`ray status` there; the address is that of ray start, nodes and this machine "
                "need the same token (~/.ray/auth_token, RAY_AUTH_MODE=token) and Ray version."
            ) from error

    def _with_gpus(self) -> Resources:
        """GPUs that Ray knows of are shared evenly; one at most goes to a candidate."""
        found = _resources().get("GPU", 0.0)
        return replace(self.resources, gpus=min(1.0, found / self.resources.concurrent))

    def _arguments(self) -> dict[str, Any]:
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        if self.resources.address:
            env = {"env_vars": WORKER_ENV}
            return {"address": self.resources.address, "runtime_env": env, **quiet}
        assert self._own is not None
        # Drawn for this run, told to those that it starts, and kept in no file.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        cpus = self.resources.concurrent * self.resources.threads
        return {
            "address": "local",  # never somebody else's cluster that happens to run here
            "num_cpus": max(os.cpu_count() or 1, cpus),
            "resources": {f"device:{device}": 1 for device in self.resources.devices} or None,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",  # nobody else's network hears of it
            "_temp_dir": str(self._own.path),
            "object_store_memory": 200 * 2**20,
            **quiet,
        }

    def _wait(self, reference: Any) -> Any:
        try:
            return ray.get(reference, timeout=_METER_START_S)
        except RayError as error:
            found = cause(error)
            if isinstance(found, OrchestratorError):
                raise found from None
            raise DeviceError(f"the measuring process does not answer: {found}") from error


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
        meter, _ = self.meters[seats[0]]
        known = {seat: reference_ms for seat, (_, reference_ms) in self.meters.items()}
        sent = [_sent(artifact) for artifact in artifacts]
        return list(_answer(ray.get_actor(meter).measure.remote(sent, seats, known, self.fresh)))

    def gauge(self, artifact: Artifact, device: str, asked: Gauge, /) -> Mapping[str, float]:
        """Something else about one file; see `Device.gauge`."""
        meter, reference_ms = self.meters[device]
        question = ray.get_actor(meter).gauge.remote(_sent(artifact), device, asked, reference_ms)
        return dict(_answer(question))


def _answer(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except RayError as error:
        raise cause(error) from None


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


def task_options(resources: Resources) -> dict[str, Any]:
    """Options of a candidate's task.

    Tune's placement group would capture it and serialise the work; "DEFAULT" keeps it out.
    """
    return {
        "num_cpus": resources.threads,
        "num_gpus": resources.gpus,
        "scheduling_strategy": "DEFAULT",
    }


def cause(error: BaseException) -> Exception:
    """The exception a worker raised, or Ray's own if the worker died."""
    inner = getattr(error, "cause", None)
    return inner if isinstance(inner, Exception) else Exception(str(error).strip())


def _resources() -> Mapping[str, float]:
    return ray.cluster_resources()  # type: ignore[no-any-return]
