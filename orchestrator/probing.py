"""Looks at networks of a space before a search: samples, extremes, size, a measured few."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.candidate import Choices, Genotype
from orchestrator.contracts import Artifact, Latency, Subject
from orchestrator.display import human
from orchestrator.errors import BudgetError, CandidateError
from orchestrator.parts import Parts, Target, draw
from orchestrator.pipeline import Pipeline
from orchestrator.trials import FixedTrial, RandomTrial

__all__ = [
    "Deployed",
    "Probe",
    "check_static",
    "cost",
    "probe",
    "probe_space",
    "smallest",
    "space_size",
]

_SAMPLES = 24
_SAMPLING_SECONDS = 6.0
_DESCENT_ROUNDS = 3


@dataclass
class Probe:
    """Networks looked at while planning: their choices and static values, without compression."""

    genotype: Genotype
    choices: Choices
    values: dict[str, float] = field(default_factory=dict)


class Deployed:
    """Deployed objectives of uncompressed, untrained networks, measured in this process.

    `seconds` is what the last one took, export included.
    """

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self.pipeline = pipeline
        self.folder = folder
        self.device = pipeline.parts.device
        self.seconds = 0.0
        self.targets = pipeline.parts.tier("deployed")
        with pipeline.gate.exclusive():
            self.reference_ms = self.device.calibrate(folder)

    def values(self, probe: Probe) -> dict[str, float]:
        """Each deployed objective of one probe."""
        if not self.targets:
            return {}
        start = time.monotonic()
        network = self.pipeline.build(probe.genotype).eval()
        path = self.folder / probe.genotype.key
        (artifact,) = self.pipeline.compile(
            network, probe.genotype, path, trained=False, final=False
        )
        subject = Subject(
            probe.genotype,
            network,
            self.pipeline.parts.shape,
            artifact=artifact,
            latency=lambda: self._latency(artifact),
            batch=self.pipeline.batch,
        )
        values = {target.name: target.objective.measure(subject) for target in self.targets}
        self.seconds = time.monotonic() - start
        return values

    def _latency(self, artifact: Artifact) -> Latency:
        with self.pipeline.gate.exclusive():
            return self.device.latencies([artifact], self.reference_ms, self.folder)[0]


def probe_space(pipeline: Pipeline, named: Sequence[Choices]) -> list[Probe]:
    """Named points and random ones, each with its static values."""
    probes = [probe(pipeline, FixedTrial(choices)) for choices in named]
    end = time.monotonic() + _SAMPLING_SECONDS
    for index in range(_SAMPLES):
        if time.monotonic() > end and len(probes) > 1:
            break
        probes.append(probe(pipeline, RandomTrial(10_000 * pipeline.config.run.seed + index)))
    return probes


def probe(pipeline: Pipeline, trial: FixedTrial | RandomTrial) -> Probe:
    """The architecture a trial draws, without compression, and its static values."""
    genotype = _plain(pipeline.parts, trial)
    choices = trial.asked if isinstance(trial, FixedTrial) else trial.choices
    return Probe(genotype, dict(choices), _static(pipeline, genotype))


def _plain(parts: Parts, trial: FixedTrial | RandomTrial) -> Genotype:
    """Compressors are not asked, so that a probe's choices are those of its architecture."""
    return Genotype(parts.space.name, parts.space.preset, parts.space.suggest(trial))


def _static(pipeline: Pipeline, genotype: Genotype) -> dict[str, float]:
    network = pipeline.build(genotype).eval()
    subject = Subject(genotype, network, pipeline.parts.shape, batch=pipeline.batch)
    return {
        target.name: float(target.objective.measure(subject))
        for target in pipeline.parts.tier("static")
    }


def cost(values: Mapping[str, float]) -> float:
    """What networks are ordered by: multiply-adds, else parameters, else the first value."""
    return values.get("macs", values.get("params", next(iter(values.values()), 0.0)))


def check_static(pipeline: Pipeline, target: Target, probes: Sequence[Probe]) -> None:
    """Raise BudgetError if even the best network found by descent breaks a budget."""
    for limit, sign in ((target.config.max, 1.0), (target.config.min, -1.0)):
        if limit is None:
            continue
        best = _reachable(pipeline, target.name, sign, limit, probes)
        if sign * best > sign * limit:
            unit = target.objective.unit
            wanted = "at most" if sign > 0 else "at least"
            extreme = "smallest" if sign > 0 else "largest"
            raise BudgetError(
                f"objective.{target.name}: the budget asks for {wanted} {human(limit, unit)}, but "
                f"the {extreme} found in space {pipeline.parts.space.name!r} is "
                f"{human(best, unit)}. Loosen the budget or choose another space or preset."
            )


def smallest(pipeline: Pipeline, probes: Sequence[Probe]) -> Probe:
    """The least costly network that descent finds; cost: a build for each choice of the space."""
    best = min(probes, key=lambda probe: cost(probe.values))
    name = next((name for name in ("macs", "params", *best.values) if name in best.values), None)
    return _descend(pipeline, name, 1.0, -math.inf, probes) if name else best


def _reachable(
    pipeline: Pipeline, name: str, sign: float, limit: float, probes: Sequence[Probe]
) -> float:
    """The least (sign 1) or largest (sign -1) value that descent and compression find."""
    best = _descend(pipeline, name, sign, limit, probes)
    values = [best.values[name]]
    if sign * values[0] > sign * limit:
        values += _compressed(pipeline, best, name)
    return sign * min(sign * value for value in values)


def _descend(
    pipeline: Pipeline, name: str, sign: float, limit: float, probes: Sequence[Probe]
) -> Probe:
    """One choice at a time from the best probe, until the limit is met or nothing is better."""
    best = min(probes, key=lambda probe: sign * probe.values[name])
    for _ in range(_DESCENT_ROUNDS):
        before = best
        for neighbour in _neighbours(pipeline, best):
            if sign * best.values[name] <= sign * limit:
                return best
            if sign * neighbour.values[name] < sign * best.values[name]:
                best = neighbour
        if best is before:
            break
    return best


def _neighbours(pipeline: Pipeline, probe: Probe) -> Iterator[Probe]:
    """Every network that differs in one answer, others redrawn only where they became open."""
    for key in probe.choices:
        options = _Options(key)
        _plain(pipeline.parts, _Redraw(probe.choices, {}, options))
        for option in options.found:
            trial = _Redraw(probe.choices, {key: option}, options)
            genotype = _plain(pipeline.parts, trial)
            yield Probe(genotype, dict(trial.choices), _static(pipeline, genotype))


@dataclass
class _Options:
    """The alternatives of one choice."""

    name: str
    found: list[Any] = field(default_factory=list)


class _Redraw(RandomTrial):
    """Answers as before, but for `changed`; what was not asked before takes its first option."""

    def __init__(self, known: Choices, changed: Choices, options: _Options) -> None:
        super().__init__(0)
        self._answers = {**known, **changed}
        self._options = options

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._pick(name, list(choices))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self._pick(name, [low, range(low, high + 1, step)[-1]]))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        return float(self._pick(name, [low, high]))

    def _pick(self, name: str, options: list[Any]) -> Any:
        if name == self._options.name:
            self._options.found = options
        return self._keep(name, self._answers.get(name, options[0]))


def _compressed(pipeline: Pipeline, probe: Probe, name: str) -> list[float]:
    """The value under a few of the ways to compress that network."""
    values = []
    for seed in range(8):
        trial = _Compression(probe.choices, seed)
        genotype = draw(pipeline.parts, trial)
        target = next(t for t in pipeline.parts.targets if t.name == name)
        try:
            network = pipeline.preview(genotype)
        except CandidateError:
            continue
        subject = Subject(genotype, network, pipeline.parts.shape, batch=pipeline.batch)
        values.append(float(target.objective.measure(subject)))
    return values


class _Compression(RandomTrial):
    """Draws the compressors' answers and keeps the architecture's."""

    def __init__(self, known: Choices, seed: int) -> None:
        super().__init__(seed)
        self._known = known

    def _keep(self, name: str, value: Any) -> Any:
        return super()._keep(name, self._known.get(name, value))


def space_size(parts: Parts) -> float:
    """Knuth's estimate (1975) of the number of genotypes: the mean product of branchings."""
    products = []
    for seed in range(200):
        trial = _Counting(seed)
        draw(parts, trial)
        products.append(math.exp(trial.log_product))
    return sum(products) / len(products)


class _Counting(RandomTrial):
    """Multiplies the number of options along one random way down the tree of choices."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.log_product = 0.0

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._count(name, len(choices))
        return super().suggest_categorical(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self._count(name, len(range(low, high + 1, step)))
        return super().suggest_int(name, low, high, step=step)

    def _count(self, name: str, options: int) -> None:
        if name not in self.choices:
            self.log_product += math.log(options)
