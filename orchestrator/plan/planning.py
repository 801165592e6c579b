"""What a search will cost and whether its budgets can be met, before anything is paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.analysis.display import human
from orchestrator.candidate.assembly import Assembly, Target
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.teachers import check_teachers, named_teachers
from orchestrator.contracts._culprits import texts_by_name
from orchestrator.contracts.objective import Axis
from orchestrator.contracts.space import SearchSpace
from orchestrator.contracts.task import Task
from orchestrator.data import DataSummary, Strip, contact_sheet, summarise
from orchestrator.errors import BudgetError, ConfigError
from orchestrator.estimators.train import TrainEstimator
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.faults.typed import made
from orchestrator.plan.axes import made_axes
from orchestrator.plan.float_layers import float_layers
from orchestrator.plan.forecast import Forecast, Timed, Work, forecast, measuring, timed
from orchestrator.plan.promises import check_promises
from orchestrator.plan.prospects import noted, unpromising
from orchestrator.plan.share import Within, within_budgets
from orchestrator.plan.survey import (
    Deployed,
    Specimen,
    check_static,
    cost,
    smallest,
    space_size,
    survey,
)
from orchestrator.plan.tables import tabled
from orchestrator.pretrained.listing import TRAINED
from orchestrator.pretrained.prospect import Prospect, prospect
from orchestrator.pretrained.settling import adapts
from orchestrator.records import Choices
from orchestrator.trials import RandomTrial

__all__ = ["Plan", "Seed", "make_plan"]

# A latency is known for the network with the fewest multiply-adds, which need not be the fastest.
_LATENCY_SLACK = 2.0
# Channels pruned to a half and weights of 8 bits make a file some 16 times smaller.
_COMPRESSION_SLACK = 16.0


@dataclass(frozen=True)
class Seed:
    """A named point of the space that is tried first."""

    name: str
    choices: Choices


@dataclass(frozen=True)
class Plan:
    """A checked search. Plain values, so that a resumed run goes on with the very same plan.

    `ranges` maps each static objective to what was seen from the smallest to the largest network,
    `reference_ms` and `fingerprints` each runtime of a device, by its seat, to what was found on
    it. `compression` tells the orders in which compressors may be taken, `variants` what is made
    of each training, `leading` is the name of the task's leading metric, `unchanged` what the space
    leaves as it is, and why, `start` what trained weights networks start from, as a `Prospect`,
    `data` what images there are, as a `DataSummary`, and `strips` some of them to look at.
    `forecast` and `within`, the share of the space that keeps static budgets, are None in plans
    made before there were any; `seconds` and `disk_bytes` are what the forecast expects.
    `measuring` is what it costs to measure a network, as a share of a training; None without any.
    """

    space_size: float
    axes: Sequence[Axis]
    ranges: Mapping[str, tuple[float, float]]
    seeds: Sequence[Seed]
    teacher: Mapping[str, Any] | None
    reference_ms: Mapping[str, float]
    fingerprints: Mapping[str, Mapping[str, str]]
    seconds: float
    disk_bytes: float
    warnings: Sequence[str] = ()
    compression: str = ""
    variants: str = ""
    leading: str = "accuracy"
    unchanged: Mapping[str, str] = field(default_factory=dict)
    start: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    strips: Sequence[Strip] = ()
    forecast: Forecast | None = None
    within: Within | None = None
    measuring: float | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the devices; their names are told where there are several."""
        several = len(self.fingerprints) > 1
        return {
            f"{name}: {fact}" if several else fact: text
            for name, fingerprint in self.fingerprints.items()
            for fact, text in fingerprint.items()
        }

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The plan that `to_json` wrote; KeyError, TypeError and the like where it is damaged."""
        axes = [made(Axis, axis) for axis in data["axes"]]
        seeds = [made(Seed, seed) for seed in data["seeds"]]
        ranges = {name: tuple(ends) for name, ends in data["ranges"].items()}
        strips = [tuple(strip) for strip in data.get("strips", ())]
        known = {**data, "axes": axes, "seeds": seeds, "ranges": ranges, "strips": strips}
        if told := data.get("forecast"):
            known["forecast"] = Forecast.from_json(told)
        if told := data.get("within"):
            known["within"] = made(Within, told)
        return made(cls, known)


def make_plan(factory: Factory, concurrent: int) -> Plan:
    """Sample the space, measure its largest and smallest network, time a step.

    Costs some seconds; raises BudgetError for a budget that nothing in the space can meet.
    """
    assembly = factory.assembly
    start = _start(factory)
    data = summarise(assembly.dataset)
    taught = _check_teacher(factory, data)
    seeds = _seeds(assembly)
    specimens = survey(factory, [seed.choices for seed in seeds])
    for target in assembly.targets:
        _check_share(target)
    for target in assembly.tier("static"):
        check_static(factory, target, specimens)
    size = space_size(assembly)
    by_size = sorted(specimens, key=cost)
    with (
        WorkingFolder("plan") as folder,
        closing(Deployed(factory, folder)) as deployed,
    ):
        largest = deployed.values(by_size[-1])
        warnings = _of_devices(factory, deployed, specimens)
        ranges = _ranges(assembly, specimens)
        seen = {**ranges, **_spans(deployed, by_size[0], largest)}
        # The named points are surveyed first.
        teacher = _teacher(factory, specimens[: len(seeds)], by_size)
        work = Work(concurrent, teacher is not None or adapts(factory.config))
        seen_s = timed(factory, by_size, deployed.seconds)
        cost_of_all = _forecast(factory, by_size, seen_s, work)
        return Plan(
            space_size=size,
            axes=made_axes(assembly, {**by_size[-1].values, **largest}, seen),
            leading=assembly.task.leading.name,
            ranges=ranges,
            seeds=seeds,
            teacher=teacher,
            reference_ms=deployed.reference_ms,
            fingerprints=deployed.fingerprints(),
            seconds=cost_of_all.seconds[1],
            disk_bytes=cost_of_all.disk_bytes[1],
            forecast=cost_of_all,
            within=within_budgets(factory),
            measuring=measuring(factory, seen_s),
            compression=assembly.compression.told,
            variants=assembly.compression.told_of_each(assembly.runtime_name("")),
            unchanged=_unchanged(assembly.space),
            start=start.to_json() if start else None,
            data=data.to_json(),
            strips=contact_sheet(assembly.dataset),
            warnings=[
                *noted(factory, specimens, start, data),
                *unpromising(factory, size, by_size[len(by_size) // 2].genotype, data),
                *[*taught, *warnings],
            ],
        )


def _unchanged(space: SearchSpace) -> Mapping[str, str]:
    return texts_by_name(space, "unchanged()", space.unchanged(), "names and reasons")


def _of_devices(factory: Factory, deployed: Deployed, specimens: Sequence[Specimen]) -> list[str]:
    """What is to be told of devices, and of tables that stand in for them."""
    tight = _check_deployed(factory, deployed, specimens)
    found = tabled(factory, deployed.fingerprints())
    return [*found, *tight, *float_layers(factory, deployed.folder, specimens)]


def _seeds(assembly: Assembly) -> list[Seed]:
    """The space's named points, each with a head, without compression where that is a choice."""
    off = _no_compression(assembly)
    return [
        Seed(name, {**point.choices, **_head(assembly.task, index), **off})
        for index, (name, point) in enumerate(assembly.space.published().items())
    ]


def _head(task: Task, seed: int) -> dict[str, Any]:
    """Answers to what the task asks beside an architecture."""
    trial = RandomTrial(seed)
    task.suggest(trial)
    return trial.choices


def _no_compression(assembly: Assembly) -> dict[str, Any]:
    """Answers with which each compressor does nothing, found by drawing."""
    found: dict[str, Any] = {}
    for name in assembly.compression.drawn:
        for seed in range(100):
            trial = RandomTrial(seed)
            if not assembly.compression.suggest(name, trial):
                found.update(trial.choices)
                break
    return found


def _check_sampler(factory: Factory) -> None:
    """Raise UsageError for a sampler's name or options, or rungs, before the teacher is paid."""
    chosen = factory.config.sampler
    factory.plugins.create("sampler", chosen.name, chosen.options, given={"seed": 0})
    _check_rungs(factory)


def _check_teacher(factory: Factory, data: DataSummary) -> list[str]:
    """What is to be told of a teacher that is given.

    Raises RunError or ConfigError for one that cannot teach, or cannot be started from.
    """
    if adapts(factory.config) and factory.assembly.task.on_features:
        raise ConfigError(
            f"train.adapt: weights can be those of a classifier alone, found task "
            f"{factory.assembly.task.name!r}. Say train.adapt=false, and name released weights."
        )
    _check_checked(factory)
    if not factory.config.teacher:
        return []
    if factory.config.weights == TRAINED:
        raise ConfigError(
            f"weights={TRAINED}: the search trains its teacher first and all start from it, found "
            f"teacher={factory.config.teacher}. Say weights=BUNDLE, or teacher=null."
        )
    return check_teachers(named_teachers(factory.config.teacher), factory.assembly.facts, data)


def _check_checked(factory: Factory) -> None:
    """Raise ConfigError for finalists that learn from checked candidates where none is checked."""
    asked, estimator = factory.config.train.check_teachers, factory.assembly.estimator
    checked = factory.config.budget.checked if estimator.approximate else 0
    if asked > checked:
        raise ConfigError(
            f"train.check_teachers: found {asked}, expected at most the {checked} that "
            f"estimator={estimator.name} with budget.checked={factory.config.budget.checked} "
            "trains further. Say train.check_teachers=0, or take an estimator that is checked "
            "(supernet, probe, proxy)."
        )


def _check_rungs(factory: Factory) -> None:
    """Raise ConfigError for an estimator whose trainings cannot pause."""
    chosen = factory.assembly.estimator
    if factory.config.budget.rungs and not isinstance(chosen, TrainEstimator):
        raise ConfigError(
            f"budget.rungs: trainings pause there, found estimator={chosen.name}, which ranks "
            "without them. Say budget.rungs=[] or estimator=train."
        )


def _start(factory: Factory) -> Prospect | None:
    """What networks will start from, once all parts are checked; nothing is fetched.

    Raises UsageError as the search would.
    """
    _check_sampler(factory)
    check_promises(factory)
    weights = factory.config.weights
    if weights is None or weights == TRAINED:
        return None
    return prospect(weights, factory.assembly.space)


def _check_share(target: Target) -> None:
    """Raise BudgetError for a share that nothing can reach."""
    low, high = target.config.min, target.config.max
    if target.objective.unit == "share" and ((low or 0) > 1 or (high is not None and high < 0)):
        raise BudgetError(
            f"objective.{target.name}: it lies between 0 and 1, found a budget of "
            f"{low if high is None else high}. 90 % is written 0.9."
        )


def _check_deployed(
    factory: Factory, deployed: Deployed, specimens: Sequence[Specimen]
) -> list[str]:
    """Warnings about budgets that few can meet; raises BudgetError where none can."""
    limits = {t.name: t.config.max for t in deployed.targets if t.config.max is not None}
    if not limits:
        return []
    found = deployed.least(min(specimens, key=cost))
    if any(found[name] > limit for name, limit in limits.items()):
        found = deployed.least(smallest(factory, specimens))
    return _too_tight(factory.assembly, found)


def _too_tight(assembly: Assembly, smallest: Mapping[str, float]) -> list[str]:
    warnings = []
    for target in assembly.tier("deployed"):
        limit = target.config.max
        value = smallest.get(target.name)
        if limit is None or value is None or value <= limit:
            continue
        unit = target.objective.unit
        text = (
            f"objective.{target.name}: the budget asks for at most {human(limit, unit)}, but the "
            f"smallest network found needs {human(value, unit)} before compression"
        )
        if value > _LATENCY_SLACK * limit and not assembly.compressors:
            raise BudgetError(f"{text}. Loosen the budget or choose another space or preset.")
        if value > _COMPRESSION_SLACK * limit:
            raise BudgetError(f"{text}, and compression will not mend that. Loosen the budget.")
        warnings.append(f"{text}; only compressed candidates may meet it.")
    return warnings


def _ranges(assembly: Assembly, specimens: Sequence[Specimen]) -> dict[str, tuple[float, float]]:
    return {
        target.name: (
            min(specimen.values[target.name] for specimen in specimens),
            max(specimen.values[target.name] for specimen in specimens),
        )
        for target in assembly.tier("static")
    }


def _spans(
    deployed: Deployed, smallest: Specimen, largest: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """What rises on a device, such as images a second: from the largest to the smallest network."""
    rising = [t.name for t in deployed.targets if t.objective.direction == "maximize"]
    if not rising:
        return {}
    best = deployed.values(smallest)
    return {name: (largest[name], best[name]) for name in rising if best[name] > largest[name]}


def _teacher(
    factory: Factory, named: Sequence[Specimen], by_size: Sequence[Specimen]
) -> dict[str, Any] | None:
    """The largest named point, else the largest network looked at, if one is needed.

    To distil from, or to start from where the search trains that itself.
    """
    needed = any(getattr(c, "needs_teacher", False) for c in factory.assembly.compressors.values())
    needed = needed or factory.config.weights == TRAINED
    if not needed or factory.config.teacher:
        return None
    largest = max(named, key=cost) if named else by_size[-1]
    return largest.genotype.to_json()


def _forecast(factory: Factory, by_size: Sequence[Specimen], seen: Timed, work: Work) -> Forecast:
    compression, plain = factory.assembly.compression, by_size[0].genotype
    # Of each runtime the preview's file, and everything that is made of the trained network.
    files = len(compression.untouched(plain)) + len(compression.variants(plain))
    return forecast(factory, seen, work, files)
