"""Ray, started here or joined: workers for candidates, one measuring process for each place."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray
from ray._private import ray_constants
from ray.exceptions import RayError

from orchestrator.contracts import Artifact, Latency
from orchestrator.errors import DeviceError, OrchestratorError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.measuring.agent import usable_cores
from orchestrator.measuring.costs import Cost, cpu_seconds, peak_bytes
from orchestrator.search.ends import End, cancel, cause, end_of, swept
from orchestrator.search.meter import START_S, Meter, measure_with, serves
from orchestrator.search.nodes import blind_nodes, here, on_node
from orchestrator.search.stopping import Stopping

__all__ = ["WORKER_ENV", "Cluster", "Job", "Resources"]

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
}
_METER_END_S = 5.0
_WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Resources:
    """What one candidate takes, how many run at once, and which devices measure, by name.

    `gpus` is filled in by `Cluster`, which knows what there is. `home` is the node that jobs which
    need the run's folder have to run on; None where all see it.
    """

    concurrent: int = 1
    threads: int = 1
    gpus: float = 0.0
    devices: tuple[str, ...] = ()
    address: str | None = None
    home: str | None = None


@dataclass(frozen=True)
class Job:
    """A function that workers import ("module:function") and what every call shares.

    The function takes one mapping of plain values (`common` plus the call's own) and returns one.
    `Cluster.map` ends what takes longer than `seconds`. It is `at_home` where it needs what lies in
    the run's folder, or leaves something there. `shortlist` is the function that measures networks
    without training them, where a search has a use for one.
    """

    function: str
    common: Mapping[str, Any]
    seconds: float | None = None
    at_home: bool = False
    shortlist: str | None = None


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def call(
    function: str, common: Mapping[str, Any], payload: Mapping[str, Any]
) -> tuple[Any, dict[str, float]]:
    """Run `function` in a worker of Ray's pool; its answer, and what that took, as of a `Cost`.

    Whatever it raises is an Exception here: a plugin that calls `sys.exit` would take the worker
    with it, and of what is no Exception Ray tells nothing.
    """
    module, _, name = function.partition(":")
    before = cpu_seconds()
    try:
        found = getattr(importlib.import_module(module), name)({**common, **payload})
        return found, {"cpu_seconds": cpu_seconds() - before, "memory_bytes": peak_bytes()}
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{error!r} was raised in it") from error


class Cluster:
    """A context manager around Ray. Leaves a joined cluster running, ends its own."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        # Seat → its meter's name and the milliseconds of the reference network there.
        self.meters: dict[str, tuple[str, float]] = {}
        self.stopping = Stopping()
        # Hears what each task took.
        self.on_cost: Callable[[Cost], None] = lambda cost: None
        self._actors: list[Any] = []
        self._started = False
        self._own: WorkingFolder | None = None

    def __enter__(self) -> Self:
        os.environ.update(WORKER_ENV | _QUIET_ENV)
        if not self.resources.address:
            os.environ.update(_ALONE_ENV)
            ray_constants.ENABLE_RAY_CLUSTER = False  # what this process has read already
        self.stopping.__enter__()
        try:
            if not ray.is_initialized():
                if not self.resources.address:
                    self._own = WorkingFolder("ray", short=True)
                self._started = True
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._start()
                # Its core has a handler for SIGTERM that prints its stack and dumps core.
                self.stopping.listen()
            self.stopping.check()
            self.resources = self._with_gpus()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stopping.__exit__(kind, error, trace)
        finally:
            self._end()

    def _end(self) -> None:
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
        actor = ray.remote(num_cpus=0, max_restarts=-1)(Meter)
        payload = {**job.common, "devices": list(devices)}
        self._actors.append(actor.options(**options).remote(job.function, payload))
        found = self._wait(self._actors[-1].calibrate.remote())
        for seat in found:
            self.meters[seat] = (name, float({**found, **reference_ms}[seat]))

    def hung_in_meter(self, task: str) -> bool:
        """Whether a meter was serving that task, by its id; then it is started anew."""
        for name in {name for name, _ in self.meters.values()}:
            if serves(name) == task:
                ray.kill(ray.get_actor(name), no_restart=False)
                return True
        return False

    def find_home(self, folder: Path) -> list[str]:
        """Keep here what needs the run's folder, unless all nodes see it; those that do not."""
        blind = blind_nodes(folder) if self.resources.address else []
        if blind:
            self.resources = replace(self.resources, home=here())
        return blind

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

        `watch` is called twice a second while nothing finishes. What takes too long
        is ended; what dies is tried once more.
        """
        waiting, common = list(enumerate(payloads)), ray.put(dict(job.common))
        task = call.options(**task_options(self.resources, job))
        running: dict[Any, tuple[int, float]] = {}
        died: set[int] = set()
        try:
            while waiting or running:
                while waiting and len(running) < self.resources.concurrent:
                    index, payload = waiting.pop(0)
                    reference = task.remote(job.function, common, payload)
                    running[reference] = index, time.monotonic()
                ready, _ = ray.wait(list(running), num_returns=1, timeout=_WATCH_SECONDS)
                self.stopping.check()
                if not ready and (gone := swept()) is not None:
                    raise gone
                if watch:
                    watch()
                for reference in ready or _late(running, job.seconds):
                    index, _ = running.pop(reference)
                    end = end_of(reference) if ready else _too_late(reference, job.seconds)
                    self.on_cost(end.cost)
                    if end.kind in ("death", "machine") and index not in died:
                        died.add(index)
                        waiting.append((index, payloads[index]))
                        continue
                    yield index, end.record if end.kind == "done" else end.exception
        finally:
            cancel(running)

    def _start(self) -> None:
        # Each death of a worker would be printed, for which a candidate's record has the reason.
        ray._private.worker.print_to_stdstream = lambda *told, **how: None
        # Ray's own would end this process without a word; `Stopping` hears SIGTERM.
        ray._private.utils.set_sigterm_handler = lambda handler: None
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
            "num_cpus": max(usable_cores(), cpus),
            "resources": {f"device:{device}": 1 for device in self.resources.devices} or None,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",  # nobody else's network hears of it
            "_temp_dir": str(self._own.path),
            "object_store_memory": 200 * 2**20,
            **quiet,
        }

    def _wait(self, reference: Any) -> Any:
        try:
            return ray.get(reference, timeout=START_S)
        except RayError as error:
            found = cause(error)
            if isinstance(found, OrchestratorError):
                raise found from None
            raise DeviceError(f"the measuring process does not answer: {found}") from error


def _late(running: Mapping[Any, tuple[int, float]], seconds: float | None) -> list[Any]:
    """References of what has run for too long."""
    since = time.monotonic() - (seconds or float("inf"))
    return [reference for reference, (_, started) in running.items() if started <= since]


def _too_late(reference: Any, seconds: float | None) -> End:
    cancel([reference])
    return End("late", f"no answer after {seconds:.3g} s")


def task_options(resources: Resources, job: Job) -> dict[str, Any]:
    """Options of a candidate's task."""
    home = {"scheduling_strategy": on_node(resources.home)} if resources.home else {}
    plain = {"num_cpus": resources.threads, "num_gpus": resources.gpus}
    return {**plain, **(home if job.at_home else {})}


def _resources() -> Mapping[str, float]:
    return ray.cluster_resources()  # type: ignore[no-any-return]
