"""Which file suits which need, and answers to a new budget, at once, from a finished search.

Files are chosen by what they are worth on validation, and told by what they are worth on test: a
figure that something was chosen by flatters it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    def devices(self) -> Sequence[str]:
        """Those that run it, where that is known."""
        return tuple(self.file.latencies) if self.file else ()

    @property
    def name(self) -> str:
        """Such as "#19 int8"."""
        return f"#{self.finalist.number} {self.label}".strip()


@dataclass(frozen=True)
class _Suit:
    """A need, which of some choices suits it best and by which axis; `among` are those it beat."""

    need: str
    index: int
    axis: Axis | None
    among: Sequence[int]


def picked(
    finalists: Sequence[Finalist],
    axes: Sequence[Axis],
    on: Mapping[str, Sequence[Axis]] | None = None,
) -> list[Finalist]:
    """Finalists with the needs that their files suit best; only recommended ones are picked.

    `on` says what counts on each of several devices, see `Study.axes_on`. A need of the first
    device has its plain name, one of another that device's with it: "knee on pi".
    """
    offers = _offers(finalists)
    choices = [(offer.decisive, offer.devices) for offer in offers]
    suited: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for suit in _suits(choices, on or {"": axes}):
        chosen, by = offers[suit.index], suit.axis
        others = [offers[index] for index in suit.among]
        alike = tuple(other.name for other in others if by and _alike(chosen, other, by))
        suited.setdefault((chosen.finalist.id, chosen.label), {})[suit.need] = alike
    return [_suited(finalist, suited) for finalist in finalists]


def _suits(
    choices: Sequence[tuple[Mapping[str, float], Sequence[str]]],
    on: Mapping[str, Sequence[Axis]],
) -> Iterator[_Suit]:
    """The best for each need on each device, of values with the devices that they are known of.

    What names no device is for the first. What suits a need on the first is not told again.
    """
    plain = {axis.name for axis in next(iter(on.values()))}
    given = set()
    for number, (device, axes) in enumerate(on.items()):
        there = [n for n, (_, devices) in enumerate(choices) if _runs(device, devices, number)]
        for need, place in pareto.picks([choices[n][0] for n in there], axes).items():
            index, by = there[place], _axis_of(need, axes)
            if (need, index) in given:
                continue
            given.add((need, index))
            named = not number or (by is not None and by.name not in plain)
            among = [n for n in there if n != index]
            yield _Suit(need if named else f"{need} on {device}", index, by, among)


def _runs(device: str, devices: Sequence[str], number: int) -> bool:
    """Whether something is for a device, the `number`-th of all."""
    return device in devices or (not number and not (device and devices))


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

    Of a finalist: "file" is where it lies, "label" and "runtime" what it is, "devices" what runs it
    and "leads" where of those it is the one to take; "validated" are the objectives that it was
    chosen by, "values" those on test, of so many "test_images", and "intervals_ms" says between
    what its latencies are known to lie. What never was on test has what validation says in both. A
    limit on what one device says is for the files that run there, and asks for those. A candidate
    that was shipped is known by its file alone.
    """
    known = set(study.config.objective)
    for name in (*most, *least):
        if name not in known:
            raise ConfigError(f"--max/--min {name}: unknown objective; {closest(name, known)}")
    limits, shipped = _Limits(most, least), _shipped(study.finalists)
    files = [[_entry(study, o) for o in _offers([entry])] for entry in study.finalists]
    others = [[_candidate(record)] for record in study.feasible if record.number not in shipped]
    for groups in (files, others):
        if kept := limits.kept(groups):
            return _front(kept, limits, study)
    points = [entry["validated"] for group in (*files, *others) for entry in group]
    raise BudgetError(_nearest(study, points, most, least))


@dataclass(frozen=True)
class _Limits:
    """What objectives may be at most and at least."""

    most: Mapping[str, float]
    least: Mapping[str, float]

    def kept(self, groups: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Entries that are within, of networks whose files keep every limit between them."""
        names = {*self.most, *self.least}
        every = [entry["validated"].keys() for group in groups for entry in group]
        local = {name for name in names if any(name not in known for known in every)}
        kept = []
        for group in groups:
            within = [entry for entry in group if self._allow(entry["validated"])]
            asked = [e for e in within if not local or local & e["validated"].keys()]
            if names <= {name for entry in asked for name in entry["validated"]}:
                kept += asked
        return kept

    def on(self, axes: Sequence[Axis]) -> list[Axis]:
        """The axes with these as their budgets."""
        return [
            replace(a, max=self.most.get(a.name, a.max), min=self.least.get(a.name, a.min))
            for a in axes
        ]

    def _allow(self, values: Mapping[str, float]) -> bool:
        high = all(values[n] <= limit for n, limit in self.most.items() if n in values)
        return high and all(values[n] >= limit for n, limit in self.least.items() if n in values)


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


def _shipped(finalists: Sequence[Finalist]) -> set[int]:
    """The numbers of candidates that became files."""
    files = (file.number for finalist in finalists for file in finalist.files)
    return {finalist.number for finalist in finalists} | {n for n in files if n is not None}


def _entry(study: Study, offer: _Offer) -> dict[str, Any]:
    finalist, file = offer.finalist, offer.file
    return {
        "id": finalist.id,
        "folder": str(study.folder / finalist.folder),
        "file": str(study.folder / (file.file if file else finalist.file)),
        "label": offer.label,
        "runtime": file.runtime if file else "",
        "devices": list(offer.devices),
        "leads": [d for d, label in finalist.leads.items() if label == offer.label],
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
        "devices": [],
        "leads": [],
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


def _front(entries: list[dict[str, Any]], limits: _Limits, study: Study) -> list[dict[str, Any]]:
    """Those that none for the same devices dominates, with the needs that they suit."""
    shipped = any(entry["devices"] for entry in entries)
    on = study.axes_on if shipped else {"": study.axes}
    choices = [(entry["validated"], entry["devices"]) for entry in entries]
    for suit in _suits(choices, {device: limits.on(axes) for device, axes in on.items()}):
        entries[suit.index]["picks"].append(suit.need)
    found = []
    for devices in dict.fromkeys(tuple(entry["devices"]) for entry in entries):
        alike = [entry for entry in entries if tuple(entry["devices"]) == devices]
        own = [axis for device in devices for axis in on.get(device, ())]
        counted = [axis for axis in study.axes if axis in own] or study.axes
        front = pareto.front([entry["validated"] for entry in alike], limits.on(counted))
        found += [alike[index] for index in front]
    return found


def _nearest(
    study: Study,
    points: Sequence[Mapping[str, float]],
    most: Mapping[str, float],
    least: Mapping[str, float],
) -> str:
    units = study.units
    told = []
    for name in (*most, *least):
        found = [values[name] for values in points if name in values]
        if found:
            word, best = ("smallest", min(found)) if name in most else ("largest", max(found))
            told.append(f"{word} {name} is {human(best, units.get(name, ''))}")
    known = "; its ".join(told) or "list of feasible candidates is empty"
    return f"nothing in {study.folder} keeps these limits; its {known}."
