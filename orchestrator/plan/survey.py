"""Looks at networks of a space before a search: samples, extremes, size, a measured few."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.analysis.display import human
from orchestrator.candidate.assembly import Assembly, Target, draw
from orchestrator.candidate.deployment import Sitting
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.candidate.variants import FileMaker
from orchestrator.contracts import Artifact, Device, Gauge, Latency, Subject
from orchestrator.contracts._culprits import answered, texts_by_name
from orchestrator.errors import BudgetError, CandidateError
from orchestrator.measuring.gate import quiet
from orchestrator.plan.image_sides import Sides, sides_of
from orchestrator.records import Choices, Genotype
from orchestrator.training.building import draw_plain
from orchestrator.trials import PartlyKnownTrial, Question, RandomTrial, apart

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Deployed",
    "Specimen",
    "check_static",
    "cost",
    "smallest",
    "space_size",
    "specimen",
    "survey",
]

_SAMPLES = 24
_SAMPLING_SECONDS = 6.0
_DESCENT_ROUNDS = 3


@dataclass
class Specimen:
    """Networks looked at while planning: their choices and static values, without compression.

    `macs`, the multiply-adds for one image, is what they are ordered by, whatever the search's own
    objectives are. `sides` tells what becomes of small images in them.
    """

    genotype: Genotype
    choices: Choices
    macs: float
    values: dict[str, float] = field(default_factory=dict)
    sides: Sides | None = None


class Deployed:
    """Deployed objectives of uncompressed, untrained networks, measured by this process.

    `seconds` is what each file of the last one took, export included; `devices` and `reference_ms`
    are those of every runtime, by its seat.
    """

    def __init__(self, factory: Factory, folder: Path) -> None:
        self.factory = factory
        self.folder = folder
        self.devices = factory.assembly.measured
        self.seconds = 0.0
        self.targets = factory.assembly.tier("deployed")
        self.reference_ms: dict[str, float] = {}
        for name, device in self.devices.items():
            device.check()
            with quiet(factory.gate, here=device.shares_host):
                self.reference_ms[name] = _milliseconds(device, device.calibrate(folder))

    def fingerprints(self) -> dict[str, dict[str, str]]:
        """What each device says of itself."""
        return {
            name: texts_by_name(device, "fingerprint()", device.fingerprint(), "names and texts")
            for name, device in self.devices.items()
        }

    def close(self) -> None:
        """End what measuring started."""
        for device in self.devices.values():
            device.close()

    def values(self, specimen: Specimen) -> dict[str, float]:
        """Each deployed objective of one specimen, on the first runtime."""
        return self._each(specimen)[0]

    def least(self, specimen: Specimen) -> dict[str, float]:
        """The least of each deployed objective on any runtime."""
        found = self._each(specimen)
        return {name: min(values[name] for values in found) for name in found[0]}

    def _each(self, specimen: Specimen) -> list[dict[str, float]]:
        """The values on each runtime that takes the specimen; raises what the first one says."""
        if not self.targets:
            return [{}]
        start = time.monotonic()
        genotype = specimen.genotype
        network = self.factory.build(genotype).eval()
        wanted = self.factory.assembly.compression.untouched(genotype)
        maker = FileMaker(self.factory, network, self.folder / genotype.key, final=False)
        made = [maker.made(variant, Treatment(genotype)) for variant in wanted]
        sitting = Sitting(self.factory.assembly, self, made)
        found = [self._seen(sitting, 0, specimen, network)]
        for number in range(1, len(made)):
            with contextlib.suppress(CandidateError):
                found.append(self._seen(sitting, number, specimen, network))
        self.seconds = (time.monotonic() - start) / len(made)
        return found

    def _seen(
        self, sitting: Sitting, number: int, specimen: Specimen, network: nn.Module
    ) -> dict[str, float]:
        subject = Subject(specimen.genotype, network, self.factory.assembly.facts.shape)
        return {
            target.name: self.factory.measure(
                target.objective, sitting.seen(subject, number, target.device)
            )
            for target in self.targets
        }

    def __call__(
        self, artifacts: Sequence[Artifact], device: str | Sequence[str], /
    ) -> list[Latency]:
        """Latencies of files on a device, or each at a seat of its own, all in one session."""
        seats = [device] * len(artifacts) if isinstance(device, str) else list(device)
        asked = [self.devices[seat] for seat in seats]
        owner = asked[0].owner
        known_ms = next(self.reference_ms[n] for n, d in self.devices.items() if d is owner)
        with quiet(self.factory.gate, here=owner.shares_host):
            files = list(zip(asked, artifacts, strict=True))
            found = owner.latencies_together(files, known_ms, self.folder)
        return _latencies(owner, found, len(files))

    def gauge(self, artifact: Artifact, device: str, asked: Gauge, /) -> Mapping[str, float]:
        """Something else about one file; see `Device.gauge`."""
        runs = self.devices[device]
        with quiet(self.factory.gate, here=runs.shares_host):
            return runs.gauge(artifact, asked, self.reference_ms[device], self.folder)


def _milliseconds(device: Device, told: Any) -> float:
    fits = isinstance(told, int | float) and 0 < told < math.inf
    expected = "milliseconds, finite and above 0"
    return float(answered(device, "calibrate(folder)", told, fits=fits, expected=expected))


def _latencies(device: Device, told: Any, count: int) -> list[Latency]:
    fits = isinstance(told, Sequence) and len(told) == count
    fits = fits and all(isinstance(each, Latency) for each in told)
    asked, expected = "latencies(artifacts, reference_ms, folder)", "a Latency for each artifact"
    return list(answered(device, asked, told, fits=fits, expected=expected))


def survey(factory: Factory, named: Sequence[Choices]) -> list[Specimen]:
    """Named points and random ones, each with its static values."""
    specimens = [specimen(factory, PartlyKnownTrial(choices, 0)) for choices in named]
    end = time.monotonic() + _SAMPLING_SECONDS
    for index in range(_SAMPLES):
        if time.monotonic() > end and len(specimens) > 1:
            break
        specimens.append(specimen(factory, RandomTrial(apart(factory.config.run.seed, index))))
    return specimens


def specimen(factory: Factory, trial: RandomTrial) -> Specimen:
    """The network a trial draws, without compression, and its static values."""
    genotype = _plain(factory.assembly, trial)
    network = factory.build(genotype).eval()
    made = _specimen(factory, genotype, trial, network, counted=True)
    return replace(made, sides=sides_of(network, factory.assembly.facts.shape))


def _specimen(
    factory: Factory, genotype: Genotype, trial: RandomTrial, network: nn.Module, *, counted: bool
) -> Specimen:
    """Multiply-adds that nobody asks for are not counted: that costs three times a build."""
    values = _static(factory, genotype, network)
    macs = values.get("macs", math.nan)
    if counted and "macs" not in values:
        macs = factory.macs_of(network)
    return Specimen(genotype, dict(trial.choices), macs, values)


def _plain(assembly: Assembly, trial: RandomTrial) -> Genotype:
    """Compressors are not asked, so that a specimen's choices are those of its network."""
    return draw_plain(assembly.space, assembly.task, trial)


def _static(factory: Factory, genotype: Genotype, network: nn.Module) -> dict[str, float]:
    subject = Subject(genotype, network, factory.assembly.facts.shape)
    return {
        target.name: factory.measure(target.objective, subject)
        for target in factory.assembly.tier("static")
    }


def cost(specimen: Specimen) -> float:
    """What networks are ordered by."""
    return specimen.macs


def check_static(factory: Factory, target: Target, specimens: Sequence[Specimen]) -> None:
    """Raise BudgetError if even the best network found by descent breaks a budget."""
    for limit, sign in ((target.config.max, 1.0), (target.config.min, -1.0)):
        if limit is None:
            continue
        best = _reachable(factory, target.name, sign, limit, specimens)
        if sign * best > sign * limit:
            unit = target.objective.unit
            wanted = "at most" if sign > 0 else "at least"
            extreme = "smallest" if sign > 0 else "largest"
            raise BudgetError(
                f"objective.{target.name}: the budget asks for {wanted} {human(limit, unit)}, but "
                f"the {extreme} found in space {factory.assembly.space.name!r} is "
                f"{human(best, unit)}. Loosen the budget or choose another space or preset."
            )


def smallest(factory: Factory, specimens: Sequence[Specimen]) -> Specimen:
    """The least costly network that descent finds; cost: a build for each choice of the space."""
    return _descend(factory, _Aim(), specimens)


def _reachable(
    factory: Factory, name: str, sign: float, limit: float, specimens: Sequence[Specimen]
) -> float:
    """The least (sign 1) or largest (sign -1) value that descent and compression find."""
    best = _descend(factory, _Aim(name, sign, limit), specimens)
    values = [best.values[name]]
    if sign * values[0] > sign * limit:
        values += _compressed(factory, best, name)
    return sign * min(sign * value for value in values)


@dataclass(frozen=True)
class _Aim:
    """What a descent makes small (sign 1) or large (-1): a static objective, or what is ordered by.

    It ends at the limit.
    """

    name: str | None = None
    sign: float = 1.0
    limit: float = -math.inf

    def of(self, specimen: Specimen) -> float:
        """The less the better."""
        return self.sign * (cost(specimen) if self.name is None else specimen.values[self.name])


def _descend(factory: Factory, aim: _Aim, specimens: Sequence[Specimen]) -> Specimen:
    """One choice at a time from the best specimen, until the limit is met or nothing is better."""
    best = min(specimens, key=aim.of)
    for _ in range(_DESCENT_ROUNDS):
        before = best
        for neighbour in _neighbours(factory, best, counted=aim.name is None):
            if aim.of(best) <= aim.sign * aim.limit:
                return best
            if aim.of(neighbour) < aim.of(best):
                best = neighbour
        if best is before:
            break
    return best


def _neighbours(factory: Factory, specimen: Specimen, *, counted: bool) -> Iterator[Specimen]:
    """Every network that differs in one answer, others redrawn only where they became open."""
    for key in specimen.choices:
        options = _Options(key)
        _plain(factory.assembly, _Redraw(specimen.choices, {}, options))
        for option in options.found:
            trial = _Redraw(specimen.choices, {key: option}, options)
            genotype = _plain(factory.assembly, trial)
            network = factory.build(genotype).eval()
            yield _specimen(factory, genotype, trial, network, counted=counted)


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

    def answer(self, name: str, question: Question) -> Any:
        if name == self._options.name:
            self._options.found = list(question.extremes)
        return self.choices.setdefault(name, self._answers.get(name, question.extremes[0]))


def _compressed(factory: Factory, specimen: Specimen, name: str) -> list[float]:
    """The value under a few of the ways to compress that network."""
    values = []
    for seed in range(8):
        trial = PartlyKnownTrial(specimen.choices, seed)
        genotype = draw(factory.assembly, trial)
        target = next(t for t in factory.assembly.targets if t.name == name)
        try:
            network = factory.preview(genotype)
        except CandidateError:
            continue
        subject = Subject(genotype, network, factory.assembly.facts.shape)
        values.append(factory.measure(target.objective, subject))
    return values


def space_size(assembly: Assembly) -> float:
    """Knuth's estimate (1975) of the number of genotypes: the mean product of branchings."""
    products = []
    for seed in range(200):
        trial = _Counting(seed)
        draw(assembly, trial)
        products.append(math.exp(trial.log_product))
    return sum(products) / len(products)


class _Counting(RandomTrial):
    """Multiplies the number of options along one random way down the tree of choices."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.log_product = 0.0

    def answer(self, name: str, question: Question) -> Any:
        if name not in self.choices:
            self.log_product += math.log(question.size)
        return super().answer(name, question)
