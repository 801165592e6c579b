"""The time of one inference on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from orchestrator import Latency, Objective, Subject
from orchestrator.errors import CandidateError

__all__ = ["LatencyMs"]


class LatencyMs(Objective):
    """Milliseconds of one batch-1 inference, relative to the device's reference network.

    Costs a measuring session whenever `subject.latency` is called; its caller decides whether
    a second call measures again.
    """

    name = "latency_ms"
    unit = "ms"
    direction = "minimize"
    tier = "deployed"
    summary: ClassVar[str] = "batch-1 latency of the shipped file on the device"

    def measure(self, subject: Subject) -> float:
        """The calibrated latency; raises CandidateError if no device can be asked."""
        return _latency(subject).ms

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """The raw clock of the session, milliseconds, and the ratio to the reference network."""
        latency = _latency(subject)
        return {
            "ratio": latency.ratio,
            "low_ms": latency.low_ms,
            "median_ms": latency.median_ms,
            "high_ms": latency.high_ms,
            "runs": float(latency.runs),
        }


def _latency(subject: Subject) -> Latency:
    if subject.latency is None:
        raise CandidateError("there is no device to measure latency on; compile the network first.")
    return subject.latency()
