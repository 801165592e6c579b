"""What a search will cost and whether its budgets can be met, before anything is paid for."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.candidate import Choices, Genotype
from orchestrator.contracts import Artifact, Latency, Subject
from orchestrator.display import human
from orchestrator.errors import BudgetError, CandidateError, ConfigError
from orchestrator.pareto import Axis
from orchestrator.parts import Parts, Target, draw
from orchestrator.pipeline import Pipeline
from orchestrator.training import seconds_per_step
from orchestrator.trials import FixedTrial, RandomTrial

__all__ = ["Plan", "Seed", "make_plan"]

_SAMPLES = 24
_SAMPLING_SECONDS = 6.0
_DESCENT_ROUNDS = 3
# A latency is known for the network with the fewest multiply-adds, which need not be the fastest.
_LATENCY_SLACK = 2.0


@dataclass(frozen=True)
class Seed:
    """A named point of the space that is tried first."""

    name: str
    choices: Choices


@dataclass(frozen=True)
class Plan:
    """A checked search. Plain values, so that a resumed run goes on with the very same plan.

    `ranges` maps each static objective to what was seen from the smallest to the largest network.
    """

    space_size: float
    axes: Sequence[Axis]
    ranges: Mapping[str, tuple[float, float]]
    seeds: Sequence[Seed]
    teacher: Mapping[str, Any] | None
    reference_ms: float
    fingerprint: Mapping[str, str]
    seconds: float
    disk_bytes: float
    warnings: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote."""
        axes = [Axis(**axis) for axis in data["axes"]]
        seeds = [Seed(**seed) for seed in data["seeds"]]
        return cls(**{**data, "axes": axes, "seeds": seeds})


@dataclass
class _Probe:
    """Networks looked at while planning: their choices and static values, without compression."""

    genotype: Genotype
    choices: Choices
    values: dict[str, float] = field(default_factory=dict)


def make_plan(pipeline: Pipeline, concurrent: int) -> Plan:
    """Sample the space, measure its largest and smallest network, time a step.

    Costs some seconds; raises BudgetError for a budget that nothing in the space can meet.
    """
    parts = pipeline.parts
    seeds = _seeds(parts)
    probes = _probes(pipeline, seeds)
    for target in parts.tier("static"):
        _check_static(pipeline, target, probes)
    by_size = sorted(probes, key=lambda probe: _size(probe.values))
    with tempfile.TemporaryDirectory(prefix="orchestrator-plan-") as folder:
        deployed = _Deployed(pipeline, Path(folder))
        largest = deployed.values(by_size[-1])
        smallest = deployed.values(by_size[0])
        warnings = _check_deployed(parts, smallest)
        return Plan(
            space_size=_space_size(parts),
            axes=[_axis(target, {**by_size[-1].values, **largest}) for target in parts.targets
                  if target.searched],
            ranges=_ranges(parts, probes),
            seeds=seeds,
            teacher=_teacher(pipeline, seeds, by_size),
            reference_ms=deployed.reference_ms,
            fingerprint=dict(parts.device.fingerprint()),
            seconds=_forecast_seconds(pipeline, by_size, deployed.seconds, concurrent),
            disk_bytes=_forecast_bytes(pipeline, by_size),
            warnings=[*parts.dataset.notes, *warnings],
        )


class _Deployed:
    """Deployed objectives of uncompressed, untrained networks, measured in this process."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self.pipeline = pipeline
        self.folder = folder
        self.device = pipeline.parts.device
        self.seconds = 0.0
        self.targets = pipeline.parts.tier("deployed")
        with pipeline.gate.exclusive():
            self.reference_ms = self.device.calibrate(folder)

    def values(self, probe: _Probe) -> dict[str, float]:
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
        )
        values = {target.name: target.objective.measure(subject) for target in self.targets}
        self.seconds = time.monotonic() - start
        return values

    def _latency(self, artifact: Artifact) -> Latency:
        with self.pipeline.gate.exclusive():
            return self.device.latencies([artifact], self.reference_ms, self.folder)[0]


def _seeds(parts: Parts) -> list[Seed]:
    """The space's named points, without compression where that is a choice."""
    off = _no_compression(parts)
    return [Seed(name, {**point.choices, **off}) for name, point in parts.space.published().items()]


def _no_compression(parts: Parts) -> dict[str, Any]:
    """Answers with which each compressor does nothing, found by drawing."""
    found: dict[str, Any] = {}
    for compressor in parts.compressors:
        for seed in range(100):
            trial = RandomTrial(seed)
            if not compressor.suggest(trial):
                found.update(trial.choices)
                break
    return found


def _probes(pipeline: Pipeline, seeds: Sequence[Seed]) -> list[_Probe]:
    """Named points and random ones, each with its static values."""
    parts = pipeline.parts
    probes = [_probe(pipeline, FixedTrial(seed.choices)) for seed in seeds]
    end = time.monotonic() + _SAMPLING_SECONDS
    for index in range(_SAMPLES):
        if time.monotonic() > end and len(probes) > 1:
            break
        trial = RandomTrial(parts_seed(pipeline) + index)
        probes.append(_probe(pipeline, trial))
    return probes


def parts_seed(pipeline: Pipeline) -> int:
    """Where random probes begin, so that the same seed plans alike."""
    return 10_000 * pipeline.config.run.seed


def _probe(pipeline: Pipeline, trial: FixedTrial | RandomTrial) -> _Probe:
    genotype = draw(pipeline.parts, trial).plain()
    choices = trial.asked if isinstance(trial, FixedTrial) else trial.choices
    return _Probe(genotype, dict(choices), _static(pipeline, genotype))


def _static(pipeline: Pipeline, genotype: Genotype) -> dict[str, float]:
    subject = Subject(genotype, pipeline.build(genotype).eval(), pipeline.parts.shape)
    return {
        target.name: float(target.objective.measure(subject))
        for target in pipeline.parts.tier("static")
    }


def _size(values: Mapping[str, float]) -> float:
    return values.get("macs", values.get("params", next(iter(values.values()), 0.0)))


def _check_static(pipeline: Pipeline, target: Target, probes: Sequence[_Probe]) -> None:
    """Raise BudgetError if even the best network found by descent breaks a budget."""
    for limit, sign in ((target.config.max, 1.0), (target.config.min, -1.0)):
        if limit is None:
            continue
        best = _descend(pipeline, target.name, sign, limit, probes)
        if sign * best > sign * limit:
            unit = target.objective.unit
            wanted = "at most" if sign > 0 else "at least"
            extreme = "smallest" if sign > 0 else "largest"
            raise BudgetError(
                f"objective.{target.name}: the budget asks for {wanted} {human(limit, unit)}, but "
                f"the {extreme} found in space {pipeline.parts.space.name!r} is "
                f"{human(best, unit)}. Loosen the budget or choose another space or preset."
            )


def _descend(
    pipeline: Pipeline, name: str, sign: float, limit: float, probes: Sequence[_Probe]
) -> float:
    """The least (sign 1) or largest (sign -1) value, one choice at a time from the best probe."""
    best = min(probes, key=lambda probe: sign * probe.values[name])
    for _ in range(_DESCENT_ROUNDS):
        before = best
        for neighbour in _neighbours(pipeline, best):
            if sign * best.values[name] <= sign * limit:
                return best.values[name]
            if sign * neighbour.values[name] < sign * best.values[name]:
                best = neighbour
        if best is before:
            break
    return min(
        (best.values[name], *_compressed(pipeline, best, name)), key=lambda value: sign * value
    )


def _neighbours(pipeline: Pipeline, probe: _Probe) -> Iterator[_Probe]:
    """Every network that differs in one answer, others redrawn only where they became open."""
    for key in probe.choices:
        options = _Options(key)
        draw(pipeline.parts, _Redraw(probe.choices, {}, options))
        for option in options.found:
            trial = _Redraw(probe.choices, {key: option}, options)
            genotype = draw(pipeline.parts, trial).plain()
            yield _Probe(genotype, dict(trial.choices), _static(pipeline, genotype))


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
        return int(self._pick(name, [low, high]))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        return float(self._pick(name, [low, high]))

    def _pick(self, name: str, options: list[Any]) -> Any:
        if name == self._options.name:
            self._options.found = options
        return self._keep(name, self._answers.get(name, options[0]))


def _compressed(pipeline: Pipeline, probe: _Probe, name: str) -> list[float]:
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
        subject = Subject(genotype, network, pipeline.parts.shape)
        values.append(float(target.objective.measure(subject)))
    return values


class _Compression(RandomTrial):
    """Draws the compressors' answers and keeps the architecture's."""

    def __init__(self, known: Choices, seed: int) -> None:
        super().__init__(seed)
        self._known = known

    def _keep(self, name: str, value: Any) -> Any:
        # Compressors prefix their names ("pruning.ratio"), and planning draws them anew.
        return super()._keep(name, self._known.get(name, value))


def _check_deployed(parts: Parts, smallest: Mapping[str, float]) -> list[str]:
    warnings = []
    for target in parts.tier("deployed"):
        limit = target.config.max
        value = smallest.get(target.name)
        if limit is None or value is None or value <= limit:
            continue
        unit = target.objective.unit
        text = (
            f"objective.{target.name}: the budget asks for at most {human(limit, unit)}, but the "
            f"smallest network looked at needs {human(value, unit)} before compression"
        )
        if value > _LATENCY_SLACK * limit and not parts.compressors:
            raise BudgetError(f"{text}. Loosen the budget or choose another space or preset.")
        if value > 2 * _LATENCY_SLACK * limit:
            raise BudgetError(f"{text}, and compression will not mend that. Loosen the budget.")
        warnings.append(f"{text}; only compressed candidates may meet it.")
    return warnings


def _axis(target: Target, largest: Mapping[str, float]) -> Axis:
    objective, config = target.objective, target.config
    worst = 0.0 if objective.direction == "maximize" else largest.get(target.name)
    reference = config.reference if config.reference is not None else worst
    if reference is None:
        raise ConfigError(
            f"objective.{target.name}.reference: must be given, as no worst value is known for it."
        )
    return Axis(
        objective.name,
        objective.unit,
        objective.direction,
        float(reference),
        min=config.min,
        max=config.max,
    )


def _ranges(parts: Parts, probes: Sequence[_Probe]) -> dict[str, tuple[float, float]]:
    return {
        target.name: (
            min(probe.values[target.name] for probe in probes),
            max(probe.values[target.name] for probe in probes),
        )
        for target in parts.tier("static")
    }


def _teacher(
    pipeline: Pipeline, seeds: Sequence[Seed], by_size: Sequence[_Probe]
) -> dict[str, Any] | None:
    """The largest named point, else the largest network looked at, if one is needed."""
    needed = any(getattr(c, "needs_teacher", False) for c in pipeline.parts.compressors)
    if not needed or pipeline.config.teacher:
        return None
    named = [_probe(pipeline, FixedTrial(seed.choices)) for seed in seeds]
    largest = max(named, key=lambda probe: _size(probe.values)) if named else by_size[-1]
    return largest.genotype.to_json()


def _space_size(parts: Parts) -> float:
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


def _forecast_seconds(
    pipeline: Pipeline, by_size: Sequence[_Probe], deployed_seconds: float, concurrent: int
) -> float:
    """From a timed step of the network in the middle: a forecast, not a promise."""
    middle = pipeline.build(by_size[len(by_size) // 2].genotype)
    config = pipeline.config
    images = len(pipeline.parts.dataset.split("train"))
    step_s = seconds_per_step(middle, pipeline.parts.dataset, config.train)
    epoch_s = step_s * math.ceil(images / config.train.batch_size) * 1.15
    # Retraining after pruning, a second export and calibration are in the factors.
    candidate_s = 1.2 * config.train.epochs * epoch_s + 3 * deployed_seconds
    finalist_s = 1.3 * config.train.final_epochs * epoch_s + 8 * deployed_seconds
    work_s = config.budget.candidates * candidate_s + config.budget.finalists * finalist_s
    limit = 60 * config.budget.minutes if config.budget.minutes else math.inf
    return 15 + min(work_s / concurrent, limit + config.budget.finalists * finalist_s)


def _forecast_bytes(pipeline: Pipeline, by_size: Sequence[_Probe]) -> float:
    middle = pipeline.build(by_size[len(by_size) // 2].genotype)
    weights = 4.0 * sum(p.numel() for p in middle.parameters())
    budget = pipeline.config.budget
    return weights * (budget.candidates + 4 * budget.finalists) + 6e6


