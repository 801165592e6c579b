"""The front's candidates whose latencies overlap are measured again before one is preferred."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from orchestrator.analysis.remeasured import Again, Remeasured, close_pairs
from orchestrator.candidate.assembly import Assembly, excess
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.remeasuring import foreseen
from orchestrator.errors import DeviceError
from orchestrator.records import Latency, Record
from orchestrator.study.phases import Phases
from orchestrator.study.study import Study

__all__ = ["settle", "settle_close_calls"]

# Of one session, whose rounds take as many calls.
_MOST = 24

# Number → device → latency of candidates, by number → genotype, on devices.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Mapping[str, Mapping[str, Any]]]]


def settle(phases: Phases) -> None:
    """The phase: a worker measures them; raises DeviceError."""
    settle_close_calls(phases.study, phases.factory, partial(_by_worker, phases))
    phases.study.write_tables()


def _by_worker(phases: Phases, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    count = len(asked["genotypes"])
    phases.enter("measured again", count)
    for _, found in phases.cluster.map(phases.job("measure_again"), [asked]):
        if isinstance(found, DeviceError):
            raise found
        if isinstance(found, Exception):
            phases.viewer.note(f"close latencies stay as they are: {found}")
            return {}
        phases.advance(count)
        return dict(found)
    return {}


def settle_close_calls(study: Study, factory: Factory, ask: Ask) -> None:
    """Have them measured, unless that was done; records then hold what was found.

    `ask` has a worker do it. A search that has finalists has chosen already.
    """
    axes = _latencies(factory.assembly)
    front = [r for r in study.front if _measured(r, axes) and foreseen(r.genotype, factory)]
    pairs, beyond = close_pairs(front, axes, _MOST)
    records = {each.number: each for pair in pairs for each in pair}
    if not records or study.finalists or records.keys() <= study.remeasured.found.keys():
        return
    found = ask(
        {
            "genotypes": {str(n): each.genotype.to_json() for n, each in records.items()},
            "devices": sorted(set(axes.values())),
        }
    )
    again = {n: _again(each, found[str(n)], factory.assembly) for n, each in records.items()
             if str(n) in found}  # fmt: skip
    known = {**study.remeasured.found, **again}
    left = _left(Remeasured(again).applied([each for pair in pairs for each in pair]), axes)
    study.take(Remeasured(known, len(pairs), left, beyond))
    study.remeasured.write(study.folder)


def _latencies(assembly: Assembly, *, searched: bool = True) -> dict[str, str]:
    """Objectives that are latencies, measured and not summed up, and their devices."""
    return {
        target.name: target.device
        for target in assembly.tier("deployed")
        if (target.searched or not searched)
        and target.objective.unit == "ms"
        and target.objective.table is None
    }


def _measured(record: Record, axes: Mapping[str, str]) -> bool:
    """Whether all of them are what was measured whole."""
    timed = {name: record.latencies.get(device) for name, device in axes.items()}
    return all(each is not None and each.ms == record.values.get(n) for n, each in timed.items())


def _again(
    record: Record,
    found: Mapping[str, Mapping[str, Any]],
    assembly: Assembly,
) -> Again:
    timed = {device: Latency(**latency) for device, latency in found.items()}
    # Those that are only reported are the same measurement, and must not tell another figure.
    told = {n: d for n, d in _latencies(assembly, searched=False).items() if d in timed}
    values = {n: timed[d].ms for n, d in told.items() if _measured(record, {n: d})}
    return Again(timed, values, excess({**record.values, **values}, assembly.targets))


def _left(records: Sequence[Record], axes: Mapping[str, str]) -> int:
    """How many of the pairs, one after the other, still overlap."""
    pairs = zip(records[::2], records[1::2], strict=True)
    return sum(bool(close_pairs(pair, axes, 2)[0]) for pair in pairs)
