"""A runtime: compiles networks to files of a format, and executes them at a place."""

from __future__ import annotations

import copy
import importlib.util
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from orchestrator.contracts.device import Artifact, Device, Gauge, Latency, compared
from orchestrator.contracts.native import NativeBenchmark, NativeFile, in_turn
from orchestrator.contracts.place import HERE, Place
from orchestrator.errors import CompileError, DeviceError, OrchestratorError
from orchestrator.measuring.agent import Timing, usable_cores
from orchestrator.measuring.link import AgentDied, AgentLink, AgentRefused
from orchestrator.measuring.reference import REFERENCE_IMAGE, reference_network

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Runtime", "Session"]

_SESSIONS_KEPT = 8
_ROUNDS, _CALIBRATION_ROUNDS = 60, 300
_BATCH_ROUNDS = 20


class Session(Protocol):
    """A file, loaded by a runtime's loader."""

    def run(self) -> object:
        """One batch-1 inference of a fixed random image."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Answers, float32 (N, …), to images float32 (N, C, H, W); N may be 0."""


class Runtime(Device):
    """A device of which only the format is special: its files are executed where `place` is.

    `loader` is one file of Python 3.8 that imports nothing but the runtime's own package, and is
    copied to the place. It has `facts(options)`, texts that a latency depends on (version,
    threads), and `load(path, options)`, a `Session`. Both get `options`, JSON values. Whatever
    `load` raises is the file's fault, but for ImportError.
    """

    loader: ClassVar[Path]
    # Distributions that the loader imports; by default the first of `packages`.
    loads: ClassVar[tuple[str, ...]] = ()
    # How its own benchmark program is run, for places without Python.
    native: ClassVar[NativeBenchmark | None] = None
    place: Place = HERE
    # By the names that one agent knows them under, this one included.
    _partners: Mapping[str, Runtime] = MappingProxyType({})
    _agent: AgentLink

    def __init__(self, *, threads: int = 1) -> None:
        if threads < 1:
            raise DeviceError(f"device.{self.name}.threads is {threads}, expected 1 or more.")
        self.threads = threads

    @property
    def options(self) -> Mapping[str, Any]:
        """What the loader is told, as JSON values; by default the number of threads."""
        return {"threads": self.threads}

    def reference(self, folder: Path) -> Artifact:
        """A small fixed network, the same on every run, that others are compared with.

        By default `reference_network`, compiled into `folder` if it is not there; for runtimes of
        one format, which is its suffix.
        """
        (form,) = self.formats
        path = folder / f"reference.{form}"
        if not path.exists():
            import torch

            self.compile(reference_network(), torch.zeros(1, *REFERENCE_IMAGE), path)
        return Artifact(path, form, exact=True)

    def at(self, place: Place) -> Self:
        """The same runtime at another place."""
        other = copy.copy(self)
        other.__dict__.update(self.__getstate__())
        other.__dict__.pop("_partners", None)
        other.place = place
        return other

    @property
    def owner(self) -> Runtime:
        """The first of those it was joined to, whose agent and reference network they share."""
        return next(iter(self._partners.values()), self)

    @staticmethod
    def join(runtimes: Sequence[Runtime]) -> None:
        """Let runtimes of one place share an agent, so that one session can measure all of them.

        Before any of them is first asked.
        """
        partners = {f"{number or ''}": runtime for number, runtime in enumerate(runtimes)}
        for runtime in runtimes:
            runtime._partners = partners
            runtime.place = runtimes[0].place

    def __getstate__(self) -> dict[str, Any]:
        """Without what is loaded and started."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_sessions", "_agent")}

    @property
    def place_name(self) -> str:
        """The place's own name."""
        return self.place.name

    @property
    def shares_host(self) -> bool:
        """Whether the place is this machine."""
        return self.place.shares_host

    def check(self) -> None:
        """Raise DeviceError if the place does not answer or the runtime does not load here.

        Also for more threads than there are cores for them.
        """
        self.place.check()
        self._check_here()
        self.check_threads()

    def check_threads(self) -> None:
        """Raise DeviceError for more threads than cores, where the place is this machine.

        Another machine is asked by `fingerprint`.
        """
        if self.shares_host:
            self._check_threads({"cores": str(usable_cores())})

    def session(self, artifact: Artifact) -> Session:
        """A file loaded into this process; the last few are kept while they do not change.

        Raises CompileError for a file that the runtime does not take.
        """
        loaded: OrderedDict[Any, Session] = self.__dict__.setdefault("_sessions", OrderedDict())
        key = self._identity(artifact)
        if key not in loaded:
            loaded[key] = self._loaded(artifact)
        loaded.move_to_end(key)
        while len(loaded) > _SESSIONS_KEPT:
            loaded.popitem(last=False)
        return loaded[key]

    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        """The file's answers, float32 (N, …), to images float32 (N, C, H, W), in this process."""
        session = self.session(artifact)
        try:
            return session.predict(images)
        except Exception as error:
            text = f"{artifact.path.name} does not run on images of shape {images.shape}: {error}"
            raise CompileError(text) from error

    def runner(self, artifact: Artifact) -> Callable[[], object]:
        """One inference of a fixed random image in this process."""
        run = self.session(artifact).run
        run()
        return run

    def fingerprint(self) -> Mapping[str, str]:
        """The place's processor, cores and system, and what the loader says of the runtime."""
        facts: Mapping[str, str]
        if self.place.program is None:
            facts = self._asked(lambda link: link.facts(self._called))
        else:
            told = {key: str(value) for key, value in self.options.items()}
            facts = {**self.place.facts(), "runtime": self.name, **told}
        self._check_threads(facts)
        return facts

    def _check_threads(self, facts: Mapping[str, str], asked: int | None = None) -> None:
        """Raise DeviceError for threads that would wait for one another's core."""
        threads = asked or int(self.options.get("threads", 1))
        what = "objective.throughput" if asked else f"device.{self.name}"
        cores = int(facts.get("usable_cores", facts.get("cores", threads)))
        if threads > cores:
            raise DeviceError(
                f"{what}.threads: found {threads}, expected at most {cores}, the cores "
                f"that may be used at {self.place.name}. Lower it."
            )

    def calibrate(self, folder: Path) -> float:
        """The reference network's milliseconds at the place, to be kept for the whole run."""
        (timing,) = self._timed([(self, self.reference(folder))], _CALIBRATION_ROUNDS)
        return timing.low_ms

    def latencies(
        self, artifacts: Sequence[Artifact], reference_ms: float, folder: Path
    ) -> list[Latency]:
        """Measure `artifacts` in turn with the reference network, in one session at the place.

        Raises CompileError for a file that the runtime does not take or dies of, and DeviceError.
        """
        return self._compared([(self, a) for a in artifacts], reference_ms, folder)

    def latencies_together(
        self, files: Sequence[tuple[Device, Artifact]], reference_ms: float, folder: Path
    ) -> list[Latency]:
        """As `latencies`, each file in the runtime beside it, this one or another it was joined to.

        The reference network is this one's.
        """
        if all(device is self for device, _ in files):
            return super().latencies_together(files, reference_ms, folder)
        joined = [(_joined(runtime, self), artifact) for runtime, artifact in files]
        return self._compared(joined, reference_ms, folder)

    def _compared(
        self, files: Sequence[tuple[Runtime, Artifact]], reference_ms: float, folder: Path
    ) -> list[Latency]:
        reference = self.reference(folder)
        for runtime, artifact in files:
            runtime._identity(artifact)
        try:
            return compared(self._timed([(self, reference), *files], _ROUNDS), reference_ms)
        except AgentDied as death:
            self._timed([(self, reference)], 1)  # or the device is to blame, not what it was given
            names = ", ".join(artifact.path.name for _, artifact in files)
            raise CompileError(f"{self.name} does not survive {names}: {death}") from death

    def gauge(
        self, artifact: Artifact, asked: Gauge, reference_ms: float, folder: Path
    ) -> Mapping[str, float]:
        """What is asked of a file, found out by the agent at the place.

        Throughput is in turn with the reference network, as latencies are.
        """
        self._identity(artifact)
        if asked.kind == "throughput":
            return self._throughput(artifact, asked, reference_ms, folder)
        found: Mapping[str, float] = self._answer({"op": asked.kind}, [(self, artifact)])
        return found

    def _throughput(
        self, artifact: Artifact, asked: Gauge, reference_ms: float, folder: Path
    ) -> Mapping[str, float]:
        if asked.threads is not None and "threads" not in self.options:
            raise DeviceError(f"device={self.name} has no threads to set; leave `threads` out.")
        if asked.threads is not None:
            self._check_threads(self.fingerprint(), asked.threads)
        request = {
            "op": "throughput",
            "shape": [asked.batch, *asked.input_shape],
            "options": {} if asked.threads is None else {"threads": asked.threads},
            "rounds": _BATCH_ROUNDS,
        }
        timings = self._answer(request, [(self, self.reference(folder)), (self, artifact)])
        (batch,) = compared([Timing(**timing) for timing in timings], reference_ms)
        low, high = batch.interval_ms or (batch.ms, batch.ms)
        return {
            "value": 1000 * asked.batch / batch.ms,
            "low": 1000 * asked.batch / high,
            "high": 1000 * asked.batch / low,
            "batch_ms": batch.ms,
        }

    def close(self) -> None:
        """End the agent, forget loaded files and leave nothing at the place."""
        for name in ("_agent", "_sessions"):
            found = self.__dict__.pop(name, None)
            if isinstance(found, AgentLink):
                found.close()
        if self.owner is self:
            self.place.close()

    def compiles_like(self, other: Device) -> bool:
        """A network's file does not depend on the place, nor by default on options."""
        return type(other) is type(self)

    def _timed(self, files: Sequence[tuple[Runtime, Artifact]], rounds: int) -> list[Timing]:
        found = self._answer({"op": "time", "rounds": rounds}, files)
        return [Timing(**timing) for timing in found]

    def _answer(self, request: Mapping[str, Any], files: Sequence[tuple[Runtime, Artifact]]) -> Any:
        """The agent's, about files that are brought to the place."""
        there = [self.place.put(artifact.files) for _, artifact in files]
        if self.place.program is not None:
            return self._by_program(request, files, there)
        names = ", ".join(artifact.path.name for _, artifact in files)
        loaders = [runtime._called for runtime, _ in files]
        asked, doing = {**request, "files": there, "loaders": loaders}, f"measuring {names}"
        if request["op"] == "time":
            doing = f"timing {names}"

        def ask(link: AgentLink) -> Any:
            try:
                return link.ask(asked, doing=doing, seconds=self.place.seconds)
            except AgentRefused as refusal:
                if refusal.file is None:
                    raise
                runtime, artifact = files[refusal.file]
                text = f"{runtime.name} does not load {artifact.path.name}: {refusal}"
                raise CompileError(text) from None

        return self._asked(ask)

    def _by_program(
        self,
        request: Mapping[str, Any],
        files: Sequence[tuple[Runtime, Artifact]],
        there: Sequence[str],
    ) -> list[dict[str, Any]]:
        """Times as the agent would tell them, found by the runtimes' own program."""
        if request["op"] != "time":
            raise DeviceError(
                f"device={self.name} at {self.place.name} is measured by a program that tells "
                f"latencies, and no {request['op'].replace('_', ' ')}. Leave the objective out."
            )
        run = []
        for (runtime, artifact), path in zip(files, there, strict=True):
            if runtime.native is None:
                raise DeviceError(
                    f"device={runtime.name} does not say how its own benchmark program is run; "
                    f"{self.place.name} has to go without one."
                )
            run.append(NativeFile(artifact.path.name, path, runtime.native, runtime.options))
        return [asdict(timing) for timing in in_turn(self.place, run, request["rounds"])]

    def _asked(self, question: Callable[[AgentLink], Any]) -> Any:
        try:
            return question(self._link())
        except AgentRefused as refusal:
            raise DeviceError(self._refused(refusal)) from None

    def _refused(self, refusal: AgentRefused) -> str:
        where = f"device={self.name} at {self.place.name}"
        if refusal.missing is None:
            return f"{where}: {refusal}"
        asked = self._partners.get(refusal.opening, self)
        install = self.place.pip(asked.loads or asked.packages[:1])
        return f"{where}: Python has no module {refusal.missing!r} there. Type there: {install}"

    @property
    def _called(self) -> str:
        """What the agent calls this runtime."""
        return next((name for name, partner in self._partners.items() if partner is self), "")

    def _link(self) -> AgentLink:
        owner = self.owner
        if "_agent" not in owner.__dict__:
            opened = self._partners or {"": self}
            owner._agent = AgentLink(owner.place.start, *map(_opening, opened, opened.values()))
        return owner._agent

    def _identity(self, artifact: Artifact) -> tuple[Any, ...]:
        """What changes when a file is written again; raises CompileError for a missing one.

        Whoever made it is to blame, and not the device.
        """
        if artifact.format not in self.formats:
            raise CompileError(
                f"{artifact.path.name} is {artifact.format!r}, but device={self.name} executes "
                f"{', '.join(sorted(self.formats))} files."
            )
        try:
            found = [(file.absolute(), file.stat()) for file in artifact.files]
        except OSError as error:
            raise CompileError(
                f"{artifact.path} cannot be read ({error}); whoever made it has to write it."
            ) from error
        return tuple((path, status.st_mtime_ns, status.st_size) for path, status in found)

    def _loaded(self, artifact: Artifact) -> Session:
        try:
            session: Session = self._module().load(str(artifact.path), dict(self.options))
        except (OrchestratorError, ImportError):
            raise
        except Exception as error:
            text = f"{self.name} does not load {artifact.path.name}: {error}"
            raise CompileError(text) from error
        return session

    def _check_here(self) -> None:
        """Raise DeviceError if this process cannot predict."""
        try:
            self._module().facts(dict(self.options))
        except OrchestratorError:
            raise
        except Exception as error:
            raise DeviceError(f"device={self.name}: {error}") from error

    def _module(self) -> Any:
        """The loader as a module of this process, under a name of its own."""
        try:
            spec = importlib.util.spec_from_file_location(f"_loader_of_{self.name}", self.loader)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        except ImportError as error:
            raise DeviceError(
                f"device={self.name} needs {', '.join(self.packages)} ({error}): pip install "
                f"{' '.join(self.packages)}"
            ) from error
        return module


def _joined(device: Device, owner: Runtime) -> Runtime:
    if not isinstance(device, Runtime) or device.owner is not owner:
        raise DeviceError(f"{device.name} was not joined to {owner.name}; measure it apart.")
    return device


def _opening(name: str, runtime: Runtime) -> dict[str, Any]:
    """What an agent is told to know a runtime under a name."""
    loader = runtime.place.put([runtime.loader], keep=True)
    return {"loader": loader, "options": dict(runtime.options), "name": name}
