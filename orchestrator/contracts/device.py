"""A device: a place and a runtime that networks are compiled for and measured on."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestrator.measuring.timing import Timing, interleave
from orchestrator.records import Latency

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

__all__ = ["Artifact", "Device", "Latency"]


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


class Device(ABC):
    """A runtime on this machine or another.

    A local runtime gives `runner` and `reference`, and the interleaved protocol does the rest. A
    device elsewhere overrides `calibrate` and `latencies` instead.
    """

    name: ClassVar[str]
    # What `compile` writes; a compressor may require one of these.
    formats: ClassVar[frozenset[str]]
    # Channel counts that are a multiple of this run best.
    alignment: ClassVar[int] = 8
    # Whether measuring must wait until our trainings on this machine pause.
    shares_host: ClassVar[bool] = True

    @abstractmethod
    def compile(
        self, network: nn.Module, example: Tensor, path: Path, *, final: bool = False
    ) -> Artifact:
        """Write `network` for this runtime to `path` (suffix added), batch size left open.

        `example` is (1, C, H, W). `final` asks for the exporter meant for shipped files, which
        may take seconds. Raises CompileError.
        """

    @abstractmethod
    def predict(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        """Logits float32 (N, classes) of normalised images float32 (N, C, H, W)."""

    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """What a latency depends on: processor, cores, runtime and its version, threads."""

    @abstractmethod
    def runner(self, artifact: Artifact) -> Callable[[], object]:
        """A function that does one batch-1 inference, everything loaded and warm."""

    @abstractmethod
    def reference(self, folder: Path) -> Artifact:
        """A small fixed network, the same on every run, that others are compared with."""

    def check(self) -> None:
        """Raise DeviceError, saying what to do, if the device does not answer."""
        return

    def calibrate(self, folder: Path) -> float:
        """The reference network's milliseconds on this device, to be kept for the whole run."""
        (timing,) = interleave([self.runner(self.reference(folder))], rounds=300)
        return timing.low_ms

    def latencies(
        self, artifacts: Sequence[Artifact], reference_ms: float, folder: Path
    ) -> list[Latency]:
        """Measure `artifacts` in turn with the reference network, in one session."""
        runners = [self.runner(artifact) for artifact in (self.reference(folder), *artifacts)]
        base, *timings = interleave(runners)
        return [_latency(timing, base, reference_ms) for timing in timings]

    def signature(self, artifact: Artifact) -> str:
        """What decides the file's latency: two files with one signature are as fast.

        By default the content of the files, so that only the same file is. A runtime that knows
        its format leaves out the values of weights, which do not make it slower.
        """
        digest = hashlib.sha256(artifact.format.encode())
        for file in artifact.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()


def _latency(timing: Timing, base: Timing, reference_ms: float) -> Latency:
    ratio = timing.low_ms / base.low_ms
    return Latency(
        ms=ratio * reference_ms,
        ratio=ratio,
        low_ms=timing.low_ms,
        median_ms=timing.median_ms,
        high_ms=timing.high_ms,
        runs=timing.runs,
    )
