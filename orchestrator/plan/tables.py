"""What a plan says of latency tables that stand in for a device."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.candidate.factory import Factory

__all__ = ["tabled"]


def tabled(factory: Factory, found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """How good latency tables are, and a warning where one is of another machine."""
    told = []
    for target in factory.assembly.targets:
        if target.objective.table is None:
            continue
        table, here = factory.table(target.objective), found[target.device]
        told.append(f"objective.{target.name}: {table.told}; finalists are measured.")
        apart = [k for k, v in here.items() if table.fingerprint.get(k) != v]
        if apart:
            told.append(
                f"objective.{target.name}: the table was measured with {apart[0]} "
                f"{table.fingerprint.get(apart[0])!r}, the device has {here[apart[0]]!r}; so "
                "estimates cannot be compared with what finalists measure."
            )
    return told
