"""A candidate's figure in words, with how far it is known."""

from __future__ import annotations

from orchestrator.analysis.display import counted, human, timed
from orchestrator.records import Record

__all__ = ["told"]


def told(record: Record, value: float, unit: str, *, leads: bool = False) -> str:
    """A latency with what it lies between; the leading metric by its number of images."""
    latency = next((lat for lat in record.latencies.values() if lat.ms == value), None)
    if unit == "ms" and latency is not None:
        return timed(latency)
    if leads and unit == "share":
        return counted(value, record.extra.get("validation_images"))
    return human(value, unit)
