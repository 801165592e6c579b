"""Which file suits which need, and answers to a new budget, at once, from a finished search.

Files are chosen by what they are worth on validation, and told by what they are worth on test: a
figure that something was chosen by flatters it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.analysis import pareto
from orchestrator.analysis.certainty import differ
from orchestrator.analysis.display import human
from orchestrator.contracts import Axis
from orchestrator.errors import BudgetError, ConfigError, closest
from orchestrator.records import Finalist, Latency, Record, ShippedFile
from orchestrator.study.study import Study

__all__ = ["choose", "picked"]


@dataclass(frozen=True)
class _Offer:
    """A file that may be recommended; `file` is None for one of a run of old, which has one."""

    finalist: Finalist
    file: ShippedFile | None

    @property
    def label(self) -> str:
        """The file's; empty where there is but one."""
        return self.file.label if self.file else ""

    @property
    def told(self) -> Mapping[str, float]:
        """The objectives, metrics on test."""
        return self.file.values if self.file else self.finalist.values

    @property
    def decisive(self) -> Mapping[str, float]:
        """The objectives, metrics on validation."""
        return self.file.decisive if self.file else self.finalist.values

    @property
    def name(self) -> str:
        """Such as "#19 int8"."""
        return f"#{self.finalist.number} {self.label}".strip()


def picked(finalists: Sequence[Finalist], axes: Sequence[Axis]) -> list[Finalist]:
    """Finalists with the needs that their files suit best; only recommended ones are picked."""
    offers = _offers(finalists)
    suited: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for need, index in pareto.picks([offer.decisive for offer in offers], axes).items():
        chosen, by = offers[index], _axis_of(need, axes)
        others = [offer for offer in offers if offer is not chosen]
        alike = tuple(other.name for other in others if by and _alike(chosen, other, by))
        suited.setdefault((chosen.finalist.id, chosen.label), {})[need] = alike
    return [_suited(finalist, suited) for finalist in finalists]


def _suited(
    finalist: Finalist, suited: Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]]
) -> Finalist:
    files = []
    for file in finalist.files:
        needs = suited.get((finalist.id, file.label), {})
        rivals = {need: names for need, names in needs.items() if names}
        files.append(replace(file, picks=tuple(needs), rivals=rivals))
    own = suited.get((finalist.id, finalist.label if finalist.files else ""), {})
    return replace(finalist, picks=tuple(own), files=tuple(files))


def _axis_of(need: str, axes: Sequence[Axis]) -> Axis | None:
    """The one that a need asks the best of; None for a compromise."""
    if need == "most accurate":
        return pareto.leader(axes)
    return next((axis for axis in axes if need.endswith(f" {axis.name}")), None)


def _alike(one: _Offer, other: _Offer, axis: Axis) -> bool:
    """Whether what is known of the two does not tell which is better; equal ones count too."""
    if axis.name not in one.told or axis.name not in other.told:
        return False
    first, second = one.told[axis.name], other.told[axis.name]
    images = one.finalist.figures.get("test_images")
    if axis.leads and images:
        return not differ(first, second, int(images))
    mine, theirs = _latency(one, axis.name), _latency(other, axis.name)
    if mine and theirs:
        return mine.overlaps(theirs)
    return first == second


def _latency(offer: _Offer, name: str) -> Latency | None:
    """The measurement that an objective's value is of, where it has an interval."""
    found = offer.file.latencies.values() if offer.file else ()
    return next((lat for lat in found if lat.ms == offer.told[name] and lat.interval_ms), None)


def choose(
    study: Study, most: Mapping[str, float], least: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Files of finalists within the limits, or else candidates; on their front, best first.

    Of a finalist: "file" is where it lies, "label" and "runtime" what it is; "validated" are the
    objectives that it was chosen by, "values" those on test, of so many "test_images", and
    "intervals_ms" says between what its latencies are known to lie. What never was on test has what
    validation says in both.
    """
    known = set(study.config.objective)
    for name in (*most, *least):
        if name not in known:
            raise ConfigError(f"--max/--min {name}: unknown objective; {closest(name, known)}")
    finalists = [_entry(study, offer) for offer in _offers(study.finalists)]
    candidates = [_candidate(record) for record in study.feasible]
    offers: tuple[list[dict[str, Any]], ...] = (finalists, candidates)
    for offered in offers:
        kept = [entry for entry in offered if _keeps(entry["validated"], most, least)]
        if kept:
            return _front(kept, study.axes, most, least)
    raise BudgetError(_nearest(study, most, least))


def _offers(finalists: Sequence[Finalist]) -> list[_Offer]:
    """Every file that may be recommended."""
    found = []
    for finalist in finalists:
        for file in finalist.files:
            if file.recommended:
                found.append(_Offer(finalist, file))
        if not finalist.files and finalist.recommended:
            found.append(_Offer(finalist, None))
    return found


def _entry(study: Study, offer: _Offer) -> dict[str, Any]:
    finalist, file = offer.finalist, offer.file
    return {
        "id": finalist.id,
        "folder": str(study.folder / finalist.folder),
        "file": str(study.folder / (file.file if file else finalist.file)),
        "label": offer.label,
        "runtime": file.runtime if file else "",
        "steps": list(file.steps) if file else [],
        "values": dict(offer.told),
        "validated": dict(offer.decisive),
        "test_images": finalist.figures.get("test_images"),
        "intervals_ms": _intervals(offer.told, file.latencies if file else {}),
        "picks": [],
    }


def _candidate(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "folder": "",
        "file": "",
        "label": "",
        "runtime": record.genotype.runtime,
        "steps": [step.name for step in record.genotype.compression],
        "values": dict(record.values),
        "validated": dict(record.values),
        "test_images": None,
        "intervals_ms": _intervals(record.values, record.latencies),
        "picks": [],
    }


def _intervals(
    values: Mapping[str, float], latencies: Mapping[str, Latency]
) -> dict[str, tuple[float, float]]:
    """By objective, between what its latency is known to lie."""
    known = {latency.ms: latency.interval_ms for latency in latencies.values()}
    return {name: found for name, value in values.items() if (found := known.get(value))}


def _front(
    entries: list[dict[str, Any]],
    axes: Sequence[Axis],
    most: Mapping[str, float],
    least: Mapping[str, float],
) -> list[dict[str, Any]]:
    limited = [
        replace(axis, max=most.get(axis.name, axis.max), min=least.get(axis.name, axis.min))
        for axis in axes
    ]
    points = [entry["validated"] for entry in entries]
    for label, index in pareto.picks(points, limited).items():
        entries[index]["picks"].append(label)
    return [entries[index] for index in pareto.front(points, limited)]


def _keeps(
    values: Mapping[str, float], most: Mapping[str, float], least: Mapping[str, float]
) -> bool:
    high = all(values[name] <= limit for name, limit in most.items())
    return high and all(values[name] >= limit for name, limit in least.items())


def _nearest(study: Study, most: Mapping[str, float], least: Mapping[str, float]) -> str:
    units = study.units
    told = []
    for name in (*most, *least):
        found = [r.values[name] for r in study.feasible if name in r.values]
        if found:
            word, best = ("smallest", min(found)) if name in most else ("largest", max(found))
            told.append(f"{word} {name} is {human(best, units.get(name, ''))}")
    known = "; its ".join(told) or "list of feasible candidates is empty"
    return f"nothing in {study.folder} keeps these limits; its {known}."
