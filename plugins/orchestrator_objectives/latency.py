"""The time of one inference on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from orchestrator import Latency, Objective, Subject, Tier
from orchestrator.errors import CandidateError, ConfigError

__all__ = ["LatencyMs"]


class LatencyMs(Objective):
    """Milliseconds of one batch-1 inference, relative to the device's reference network.

    Costs a measuring session whenever `subject.latency` is called; its caller decides whether
    a second call measures again.

    With `source="table"` candidates' latency is the sum of measured blocks, known before anything
    is compiled, from the latency table in the file `table` or the user's own for space and device
    (`python -m orchestrator table`). What has a file on a device, as finalists do, is measured.
    """

    name = "latency_ms"
    unit = "ms"
    direction = "minimize"
    tier: ClassVar[Tier] = "deployed"
    summary: ClassVar[str] = "batch-1 latency of the shipped file on the device"

    def __init__(
        self, *, source: Literal["device", "table"] = "device", table: str | None = None
    ) -> None:
        if source == "device" and table is not None:
            raise ConfigError(
                f"objective.latency_ms.table is {table!r}, but source is device; say source=table."
            )
        self.source = source
        if source == "table":
            self.table = table or ""
            self.tier = "static"  # type: ignore[misc]

    def measure(self, subject: Subject) -> float:
        """The calibrated latency; raises CandidateError if no device can be asked."""
        return self._latency(subject).ms

    def explain(self, subject: Subject) -> Mapping[str, float | str]:
        """The raw clock of the session, milliseconds, and the ratio to the reference network."""
        latency = self._latency(subject)
        return {
            "source": latency.source,
            "ratio": latency.ratio,
            "low_ms": latency.low_ms,
            "median_ms": latency.median_ms,
            "high_ms": latency.high_ms,
            "runs": float(latency.runs),
        }

    def _latency(self, subject: Subject) -> Latency:
        if subject.latency is not None:
            return subject.latency()
        if self.source == "table" and subject.tabled is not None:
            return subject.tabled()
        raise CandidateError("there is no device to measure latency on; compile the network first.")
