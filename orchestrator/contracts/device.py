"""A device: what networks are compiled for, run by and measured on."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from orchestrator.errors import DeviceError
from orchestrator.measuring.agent import Timing, interleave
from orchestrator.records import Latency

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

__all__ = ["Artifact", "Device", "Gauge", "Kernel", "Latency", "Usage", "compared"]


@dataclass(frozen=True)
class Artifact:
    """What a device's runtime executes: a file, or a few. Plain data: it may cross processes.

    `path` is the file that is opened. `beside` are others that it needs, in the same folder and
    under names that it knows. `label` says what was done to the network's own file ("int8"), and
    is empty where nothing was. `exact` says that the network's very function is computed, up to
    the rounding of float32, as in what a device compiles; int8 approximates it.
    """

    path: Path
    format: str
    label: str = ""
    exact: bool = False
    beside: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is shipped, `path` first."""
        return (self.path, *self.beside)

    @property
    def size_bytes(self) -> int:
        """The size of what is shipped, over all files."""
        return sum(file.stat().st_size for file in self.files)


@dataclass(frozen=True)
class Usage:
    """How somebody runs a file without Orchestrator, for the card.

    `packages` are what to install. `lines` are Python, in the file's folder: they take `images`,
    float32 (B, C, H, W), and leave the network's answer in `logits`.
    """

    packages: tuple[str, ...]
    lines: str


@dataclass(frozen=True)
class Kernel:
    """What a runtime really executes for a layer of a file.

    `operator` is the runtime's word for it, `precision` what it computes in, such as "int8",
    "float32" or "bfloat16", `share` its part of the time of one inference, in [0, 1], or None
    where that is not known.
    """

    layer: str
    operator: str
    precision: str
    share: float | None = None

    @property
    def integer(self) -> bool:
        """Whether it computes with integers."""
        return self.precision.lstrip("u").startswith("int")


@dataclass(frozen=True)
class Gauge:
    """Something to find out about a file beside its latency. Plain data: it may cross processes.

    "throughput": images a second in batches of `batch` of `input_shape` (C, H, W), with `threads`
    or, where that is None, as many as the device has;
    "peak_memory": bytes that a fresh process needs to load the file and run it, over those it has
    with nothing but the runtime in it;
    "energy": joules of the processor for one inference, the machine's idling included.
    """

    kind: Literal["throughput", "peak_memory", "energy"]
    input_shape: tuple[int, ...] = ()
    batch: int = 1
    threads: int | None = None


class Device(ABC):
    """What the search asks: most often a runtime at a place (see `Runtime`).

    One that is neither gives `runner` and `reference`, and the interleaved protocol does the rest
    in this process; or it overrides `calibrate` and `latencies`.
    """

    name: ClassVar[str]
    # What `compile` writes; a compressor may require one of these.
    formats: ClassVar[frozenset[str]]
    # Channel counts that are a multiple of this run best.
    alignment: ClassVar[int] = 8
    # Whose versions are kept with its figures.
    packages: ClassVar[tuple[str, ...]] = ()
    # Compressors that quantize its files, by their names; the first is the usual one.
    quantizers: ClassVar[tuple[str, ...]] = ()
    # Why runtime=auto leaves it out, as one that costs each candidate too much; it may be named.
    costly: ClassVar[str] = ""
    # Whether loading a file runs what it says, rather than layers of kinds that are known.
    programs: ClassVar[bool] = False
    # MLflow's name for models of this format, if it has one.
    mlflow_flavour: ClassVar[str] = ""

    @property
    def place_name(self) -> str:
        """Where it is: what is measured at one place never overlaps. By default its own."""
        return self.name

    @property
    def shares_host(self) -> bool:
        """Whether measuring must wait until our trainings on this machine pause."""
        return True

    @abstractmethod
    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `network` for this runtime to `path` (suffix added), batch size left open.

        `example` is (1, C, H, W). `final` asks for the form that is shipped, where that takes
        longer and runs the same. Raises CompileError.
        """

    @abstractmethod
    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        """The network's answers, float32 (N, …), to normalised images float32 (N, C, H, W)."""

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """What a latency depends on: processor, cores, runtime and its version, threads."""

    def runner(self, artifact: Artifact) -> Callable[[], object]:
        """A function that does one batch-1 inference, everything loaded and warm."""
        raise DeviceError(f"{_lacks(self)} runner(artifact), or calibrate and latencies.")

    def reference(self, folder: Path) -> Artifact:
        """A small fixed network, the same on every run, that others are compared with."""
        raise DeviceError(f"{_lacks(self)} reference(folder), or calibrate and latencies.")

    def check(self) -> None:
        """Raise DeviceError, saying what to do, if the device does not answer."""
        return

    def close(self) -> None:
        """End what measuring started; a later call starts it again."""
        return

    def calibrate(self, folder: Path) -> float:
        """The reference network's milliseconds on this device, to be kept for the whole run."""
        (timing,) = interleave([self.runner(self.reference(folder))], rounds=300)
        return timing.low_ms

    def latencies(
        self, artifacts: Sequence[Artifact], reference_ms: float, folder: Path
    ) -> list[Latency]:
        """Measure `artifacts` in turn with the reference network, in one session.

        Each runner is made once, so that intervals know of one place in memory only.
        """
        runners = [self.runner(artifact) for artifact in (self.reference(folder), *artifacts)]
        return compared(interleave(runners), reference_ms)

    def gauge(
        self, artifact: Artifact, asked: Gauge, reference_ms: float, folder: Path
    ) -> Mapping[str, float]:
        """What is asked, as "value" in the unit that `Gauge` says, and whatever explains it.

        Raises CompileError for a file that is not taken, DeviceError where it cannot be told.
        """
        raise DeviceError(
            f"device={self.name} cannot tell {asked.kind}. Leave that objective out, or ask "
            "another device."
        )

    @property
    def owner(self) -> Device:
        """Whose reference network its files are measured with; files of one owner go together."""
        return self

    def latencies_together(
        self, files: Sequence[tuple[Device, Artifact]], reference_ms: float, folder: Path
    ) -> list[Latency]:
        """As `latencies`, of files each on the device beside it, all of them owned by this one."""
        return self.latencies([artifact for _, artifact in files], reference_ms, folder)

    def signature(self, artifact: Artifact) -> str:
        """What decides the file's latency: two files with one signature are as fast.

        By default the content of the files, so that only the same file is. A runtime that knows
        its format leaves out the values of weights, which do not make it slower.
        """
        digest = hashlib.sha256(artifact.format.encode())
        for file in artifact.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def kernels(self, artifact: Artifact) -> Sequence[Kernel]:
        """What is executed for a file, layer by layer; empty where the runtime cannot tell.

        Raises CompileError for a file that it does not take. Costs some inferences.
        """
        return ()

    def compiles_like(self, other: Device) -> bool:
        """Whether `compile` of both writes the same file, so that one of them has to."""
        return other is self

    def usage(self, artifact: Artifact) -> Usage | None:
        """How the file is run without Orchestrator; None where there is no short way."""
        return None

    def save_mlflow(self, artifact: Artifact, folder: Path, model: Any) -> None:
        """Write an MLflow model in `mlflow_flavour` into the new `folder`.

        `model` is the `mlflow.models.Model` to fill. Asked only of a device with a flavour.
        """
        raise DeviceError(f"{_lacks(self)} save_mlflow, as it has a flavour.")


def compared(timings: Sequence[Timing], reference_ms: float) -> list[Latency]:
    """Latencies of all but the first, which is the reference network's timing."""
    base, *others = timings
    return [_latency(timing, base, reference_ms) for timing in others]


def _lacks(device: Device) -> str:
    return f"device {device.name!r} ({type(device).__name__}) lacks a method: it has to define"


def _latency(timing: Timing, base: Timing, reference_ms: float) -> Latency:
    ratio = timing.low_ms / base.low_ms
    parts = [a / b for a, b in zip(timing.parts_ms, base.parts_ms, strict=True)]
    return Latency(
        ms=ratio * reference_ms,
        ratio=ratio,
        low_ms=timing.low_ms,
        median_ms=timing.median_ms,
        high_ms=timing.high_ms,
        runs=timing.runs,
        low_ratio=min(parts, default=None),
        high_ratio=max(parts, default=None),
    )
