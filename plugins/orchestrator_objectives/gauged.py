"""What a device finds out about a file beside its latency: throughput, memory, energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from orchestrator import Gauge, Objective, Subject
from orchestrator.errors import CandidateError, ConfigError

__all__ = ["Energy", "PeakMemory", "Throughput"]


class Throughput(Objective):
    """Images a second in batches of `batch`, by `threads` or as many as the device has.

    As latency it is a ratio: the batch and the device's reference network run in turn, and the
    least of 20 rounds of each counts. A runtime that takes large batches in pieces is measured
    doing so. Costs a measuring session.
    """

    name = "throughput"
    unit = "images/s"
    direction = "maximize"
    tier = "deployed"
    summary: ClassVar[str] = "images a second in batches, on the device"

    def __init__(self, *, batch: int = 32, threads: int | None = None) -> None:
        for name, value in (("batch", batch), ("threads", threads)):
            if value is not None and value < 1:
                raise ConfigError(f"objective.throughput.{name} is {value}, expected 1 or more.")
        self.batch = batch
        self.threads = threads

    def measure(self, subject: Subject) -> float:
        """The figure; raises CandidateError if no device can be asked."""
        return _gauged(subject, self._asked(subject))["value"]

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """From where to where it is known, images a second, and a batch's milliseconds."""
        return _more(subject, self._asked(subject))

    def _asked(self, subject: Subject) -> Gauge:
        return Gauge("throughput", tuple(subject.input_shape), self.batch, self.threads)


class PeakMemory(Objective):
    """Bytes that loading and running the file at batch 1 adds to a fresh process.

    That process has the runtime's library and no network before; the most it has had afterwards
    (VmHWM where Linux tells it, else the system's maximum) is compared. Repeats to some pages.
    Costs the start of a process with the runtime in it, a second or a few.
    """

    name = "peak_memory"
    unit = "bytes"
    direction = "minimize"
    tier = "deployed"
    summary: ClassVar[str] = "memory that the file needs in its runtime, the library not counted"

    def measure(self, subject: Subject) -> float:
        """The figure; raises CandidateError if no device can be asked."""
        return _gauged(subject, Gauge("peak_memory"))["value"]

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """Bytes of the whole process, the runtime's library among them."""
        return _more(subject, Gauge("peak_memory"))


class Energy(Objective):
    """Joules of the processor's package for one inference at batch 1, its idling included.

    By the counters of Linux' powercap (RAPL). Where a machine has none, or its user may not read
    them, there is no figure and the search says so before it begins. Costs two seconds.
    """

    name = "energy"
    unit = "J"
    direction = "minimize"
    tier = "deployed"
    summary: ClassVar[str] = "energy of one inference, where the machine tells it"

    def measure(self, subject: Subject) -> float:
        """The figure; raises CandidateError if no device can be asked."""
        return _gauged(subject, Gauge("energy"))["value"]

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """The median of the stretches of time of which the least counts, joules."""
        return _more(subject, Gauge("energy"))


def _gauged(subject: Subject, asked: Gauge) -> Mapping[str, float]:
    if subject.gauge is None:
        raise CandidateError(f"there is no device to ask for {asked.kind}; compile it first.")
    return subject.gauge(asked)


def _more(subject: Subject, asked: Gauge) -> dict[str, float | str]:
    return {name: value for name, value in _gauged(subject, asked).items() if name != "value"}
