"""Figures of one calibration in units of another.

A latency is a ratio to the device's reference network, times what that network took when its search
began: its calibration. Two searches on devices of one fingerprint have a calibration each, which
differ by what two machines, or two days of one, differ by. Figures of both are compared only in
units of one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose

from orchestrator.analysis.remeasured import Again, Remeasured
from orchestrator.config import StudyConfig
from orchestrator.contracts import Budget
from orchestrator.errors import RunError
from orchestrator.plan.planning import Plan
from orchestrator.plugins import Plugins
from orchestrator.records import Check, Finalist, Latency, Record, ShippedFile
from orchestrator.study.study import objective_units, placed_objectives

__all__ = ["Recalibration", "judged"]

# What a device finds out that does not go by its reference network, and what falls as it rises.
_ABSOLUTE = ("bytes", "J")
_RATES = ("images/s",)


@dataclass(frozen=True)
class Recalibration:
    """From the references `old` of a search to the references `new` of another, by seat.

    `devices` are the objectives that a device measures, and which; `units` what each is told in.
    Those that are `tabled` are sums of a table of blocks, which has a calibration of its own.
    """

    old: Mapping[str, float]
    new: Mapping[str, float]
    devices: Mapping[str, str]
    units: Mapping[str, str]
    tabled: frozenset[str] = frozenset()

    @classmethod
    def between(cls, config: StudyConfig, old: Plan, new: Plan, plugins: Plugins) -> Recalibration:
        """Of two searches that measure the same on the same devices."""
        placed = placed_objectives(config, plugins)
        units = objective_units(config, new, plugins)
        tabled = (n for n, i in config.objective.items() if i.options.get("source") == "table")
        return cls(old.reference_ms, new.reference_ms, placed, units, frozenset(tabled))

    @property
    def changes(self) -> bool:
        """Whether anything differs."""
        return any(self.new.get(seat, old) != old for seat, old in self.old.items())

    def record(self, record: Record) -> Record:
        """A record's latencies and what goes by them; whether it keeps budgets is left as it is."""
        if not self.changes:
            return record
        variants = tuple(self.record(variant) for variant in record.variants)
        timed, values = self._both(record.latencies, record.values, record.genotype.runtime)
        return replace(record, latencies=timed, values=values, variants=variants)

    def check(self, check: Check) -> Check:
        """One that was trained further."""
        return replace(check, record=self.record(check.record))

    def remeasured(self, found: Remeasured) -> Remeasured:
        """What was measured again, which were latencies alone."""
        again = {number: self._again(each) for number, each in found.found.items()}
        return replace(found, found=again)

    def finalist(self, finalist: Finalist) -> Finalist:
        """With all its files; its card keeps the figures that it was printed with."""
        if not self.changes:
            return finalist
        files = tuple(self._file(file) for file in finalist.files)
        leading = next((f.values for f in files if f.label == finalist.label), finalist.values)
        return replace(finalist, files=files, values=leading)

    def _file(self, file: ShippedFile) -> ShippedFile:
        timed, values = self._both(file.latencies, file.values, file.runtime)
        _, validated = self._both(file.latencies, file.validated, file.runtime)
        return replace(file, latencies=timed, values=values, validated=validated)

    def _again(self, again: Again) -> Again:
        timed, values = self._both(again.latencies, again.values, "")
        return replace(again, latencies=timed, values=values)

    def _both(
        self, timed: Mapping[str, Latency], values: Mapping[str, float], runtime: str
    ) -> tuple[dict[str, Latency], dict[str, float]]:
        """Latencies and values, in the new units."""
        if not self.changes:
            return dict(timed), dict(values)
        found = {device: self._latency(device, latency) for device, latency in timed.items()}
        return found, {
            name: self._value(name, value, (timed, found), runtime)
            for name, value in values.items()
        }

    def _latency(self, device: str, latency: Latency) -> Latency:
        if latency.source == "table":  # of the table's own calibration
            return latency
        known_ms = latency.ms / latency.ratio
        for seat in self._seats(device):
            if isclose(known_ms, self.old[seat], rel_tol=1e-6):
                return replace(latency, ms=latency.ratio * self.new.get(seat, self.old[seat]))
        raise RunError(
            f"a latency on device {device} goes by a reference network of {known_ms:.4g} ms, found "
            f"{', '.join(f'{ms:.4g} ms' for ms in self.old.values())} in its run's plan: it cannot "
            "be told in units of another calibration. Leave its run out."
        )

    def _value(
        self,
        name: str,
        value: float,
        timed: tuple[Mapping[str, Latency], Mapping[str, Latency]],
        runtime: str,
    ) -> float:
        device = self.devices.get(name)
        if device is None or self.units.get(name) in _ABSOLUTE:
            return value
        old, new = (latencies.get(device) for latencies in timed)
        if old is not None and new is not None and old.ms == value:
            return new.ms
        if name in self.tabled:
            return value
        seat = f"{device}.{runtime}" if f"{device}.{runtime}" in self.old else device
        slower = self.new.get(seat, self.old[seat]) / self.old[seat]
        if self.units.get(name) in _RATES:
            return value / slower
        if old is None and self.units.get(name) == "ms":  # one of before latencies were kept whole
            return value * slower
        raise RunError(
            f"objective.{name} is measured on device {device} and is not the latency that was "
            "kept: it is not known how it goes by the device's calibration, which is another in "
            "each of the two runs. Leave the other one out."
        )

    def _seats(self, device: str) -> Sequence[str]:
        """Where a device's files are measured."""
        return [seat for seat in self.old if seat == device or seat.startswith(f"{device}.")]


def judged(record: Record, budgets: Mapping[str, Budget]) -> Record:
    """A record by what its figures say of budgets now, in units of another calibration.

    What was rejected before it was trained stays so, as nobody knows how good it is.
    """
    if record.outcome not in ("feasible", "rejected"):
        return record
    over = {n: b.excess(record.values[n]) for n, b in budgets.items() if n in record.values}
    broken = {name: excess for name, excess in over.items() if excess > 0}
    if broken:
        named = f"it breaks the budget of {', '.join(broken)}, by the calibration of what it joined"
        reason = named if record.outcome == "feasible" else record.reason
        return replace(record, outcome="rejected", violations=broken, reason=reason)
    if record.outcome == "feasible" or not record.extra.get("trained"):
        return record
    return replace(record, outcome="feasible", violations={}, reason="")
