"""What a search will cost: time, CPU, memory and disk, each with an interval.

Steps of three networks of the space are timed, one of the smallest tenth, one in the middle and one
of the largest tenth. The interval is what the search costs if it prefers networks as small as the
one, or as large as the other; that is more of the doubt than all else. It is no promise.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from orchestrator.candidate.factory import Factory
from orchestrator.config import StudyConfig
from orchestrator.contracts import samples_of
from orchestrator.contracts._culprits import answered
from orchestrator.estimators.ladder import Ladder
from orchestrator.measuring.costs import peak_bytes
from orchestrator.plan.left import Range
from orchestrator.plan.survey import Specimen
from orchestrator.training.epochs import seconds_per_step

__all__ = ["Forecast", "Stage", "Timed", "Work", "at_most", "forecast", "measuring", "timed"]

# Where in the order of sizes networks are timed.
_PLACES = (0.1, 0.5, 0.9)
_STARTING_SECONDS = 15.0
# Of runs of the house's: the report and the tables, and what the journal and a result hold of one
# candidate.
_REPORT_BYTES = 5e6
_CANDIDATE_BYTES = 2e4
_BYTES_A_PARAMETER = 4.0

# Of proposals that a shortlist is measured before: none, half or all.
_SHORTLISTS = (0.0, 0.5, 1.0)
# Of a training step.
_FORWARD = 1 / 3
# Stages of which several run at once.
_AT_ONCE = ("search", "finalists", "check")
_NOTHING: Range = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Stage:
    """One phase of a search as the terminal calls it: how many of what, and what they all take.

    CPU and disk are 0 in plans made before they were told by stage.
    """

    name: str
    count: int
    seconds: Range
    cpu_seconds: Range = _NOTHING
    disk_bytes: Range = _NOTHING


@dataclass(frozen=True)
class Forecast:
    """Of the whole job, from starting to the last finalist; each least, expected and most."""

    stages: Sequence[Stage]
    cpu_seconds: Range
    memory_bytes: Range
    disk_bytes: Range

    @property
    def seconds(self) -> Range:
        """Of all stages."""
        return _sum([stage.seconds for stage in self.stages])

    def to_json(self) -> dict[str, Any]:
        """A dictionary of JSON values; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Forecast:
        """The forecast that `to_json` wrote."""
        stages = [
            Stage(
                told["name"],
                told["count"],
                *(
                    _range(told.get(each, _NOTHING))
                    for each in ("seconds", "cpu_seconds", "disk_bytes")
                ),
            )
            for told in data["stages"]
        ]
        others = {name: _range(data[name]) for name in data if name != "stages"}
        return cls(stages, **others)


@dataclass(frozen=True)
class Timed:
    """What was timed: seconds of an epoch and parameters, least, expected and most.

    `largest_s` is an epoch of the largest network seen, `file_s` what one file costs to make and
    to measure, `cpu` seconds of CPU a second, `process_bytes` what a process takes that trains.
    """

    epoch_s: Range
    parameters: Range
    largest_s: float
    file_s: float
    cpu: float
    process_bytes: tuple[float, float]


@dataclass(frozen=True)
class Work:
    """How much there is to do at once, and whether a network is trained ahead of all others."""

    concurrent: int
    trained_first: bool


def timed(factory: Factory, by_size: Sequence[Specimen], file_s: float) -> Timed:
    """Time steps of networks of several sizes; costs some steps of each."""
    chosen = [by_size[round(place * (len(by_size) - 1))] for place in _PLACES]
    before, start, cpu = peak_bytes(), time.monotonic(), time.process_time()
    epochs = [_epoch_seconds(factory, each) for each in chosen]
    largest_s = _epoch_seconds(factory, by_size[-1])
    busy = (time.process_time() - cpu) / max(time.monotonic() - start, 1e-9)
    sizes = [sum(p.numel() for p in factory.build(c.genotype).parameters()) for c in chosen]
    return Timed(_ordered(epochs), _ordered(sizes), largest_s, file_s, busy, (before, peak_bytes()))


def forecast(factory: Factory, seen: Timed, work: Work, files: int) -> Forecast:
    """Of what was timed; `files` are made of each training and measured."""
    disk = _disk(factory, seen, files)
    stages = [
        replace(
            stage,
            cpu_seconds=_cpu(stage, seen, work),
            disk_bytes=disk.get(stage.name, _NOTHING),
        )
        for stage in _stages(factory, seen, work, files)
    ]
    least, most = seen.process_bytes
    # The driver is a process of its own.
    memory = (least * (work.concurrent + 1), most * work.concurrent + least)
    return Forecast(
        stages,
        _sum([stage.cpu_seconds for stage in stages]),
        (memory[0], sum(memory) / 2, memory[1]),
        _sum([stage.disk_bytes for stage in stages]),
    )


def _cpu(stage: Stage, seen: Timed, work: Work) -> Range:
    at_once = work.concurrent if stage.name in _AT_ONCE else 1
    return _times(at_once * seen.cpu, stage.seconds)


def measuring(factory: Factory, seen: Timed) -> float | None:
    """What to export and measure a network costs, as a share of a training; None without one."""
    _, each = _training_epochs(factory)
    training_s = each * seen.epoch_s[1]
    return seen.file_s / training_s if training_s else None


def _stages(factory: Factory, seen: Timed, work: Work, files: int) -> list[Stage]:
    config, estimator = factory.config, factory.assembly.estimator
    budget, train = config.budget, config.train
    ahead, each = _training_epochs(factory)
    if budget.rungs:
        each *= Ladder.of(budget, train.epochs).share
    stages = [Stage("start", 1, (_STARTING_SECONDS,) * 3)]
    if work.trained_first:
        stages.append(Stage("teacher", 1, (train.taught_epochs * seen.largest_s,) * 3))
    if ahead:
        stages.append(Stage(estimator.name, 100, _times(ahead, seen.epoch_s)))
    # Retraining after pruning, a second export and calibration are in the factors.
    one = [1.2 * each * epoch_s + (1 + files) * seen.file_s for epoch_s in seen.epoch_s]
    first = _shortlist(factory) * seen.file_s
    each_s = [s + share * first for s, share in zip(one, _SHORTLISTS, strict=True)]
    search = [budget.candidates * s / work.concurrent for s in each_s]
    limit = 60 * budget.minutes if budget.minutes else math.inf
    low, middle, high = (min(seconds, limit) for seconds in search)
    stages.append(Stage("search", budget.candidates, (low, middle, high)))
    if estimator.approximate and budget.checked:
        # Checks are made in rungs; over all of them a checked candidate is trained for about as
        # long as one that is trained alone.
        checked = at_most(config, budget.checked)
        rounds = math.ceil(checked / work.concurrent)
        stages.append(Stage("check", checked, _times(1.2 * rounds * train.epochs, seen.epoch_s)))
    finalists = at_most(config, budget.finalists)
    rounds = math.ceil(finalists / work.concurrent)
    # Its teachers are networks like itself.
    taught = 1 + train.check_teachers * _FORWARD
    shipped = [
        1.3 * budget.seeds * train.final_epochs * taught * epoch_s + (5 + files) * seen.file_s
        for epoch_s in seen.epoch_s
    ]
    stages.append(Stage("finalists", finalists, _times(rounds, shipped)))
    return stages


def _training_epochs(factory: Factory) -> tuple[float, float]:
    """Those of the estimator: ahead of all, and for each candidate."""
    estimator = factory.assembly.estimator
    told = estimator.training_epochs(factory.config.train)
    pair = isinstance(told, tuple | list) and len(told) == 2
    numbers = pair and all(isinstance(each, int | float) and 0 <= each < math.inf for each in told)
    expected = "epochs ahead and epochs of each candidate, both 0 or more"
    found = answered(estimator, "training_epochs(train)", told, fits=numbers, expected=expected)
    return float(found[0]), _seen_of(float(found[1]), factory)


def _seen_of(epochs: float, factory: Factory) -> float:
    """What is left of a candidate's epochs where it sees some of the training images.

    It is judged on all of validation after each, which an epoch's own factor covers otherwise.
    """
    most, dataset = factory.assembly.estimator.most_images, factory.assembly.dataset
    if not epochs or most is None:
        return epochs
    train, validation = (len(samples_of(dataset, split)) for split in ("train", "validation"))
    if most >= train:
        return epochs
    return epochs * most / train + max(1.0, epochs) * _FORWARD * validation / train


def at_most(config: StudyConfig, asked: int) -> int:
    """Of so many that are to be chosen among candidates, how many there can be.

    No more than there are candidates, unless earlier runs bring some.
    """
    return asked if config.sampler.history else min(asked, config.budget.candidates)


def _shortlist(factory: Factory) -> int:
    """How many networks the sampler may have measured before each proposal; 0 where none are."""
    _, each = _training_epochs(factory)
    asked = factory.assembly.tier("deployed")
    if not each or not any(target.searched or target.has_budget for target in asked):
        return 0
    chosen = factory.config.sampler
    made = factory.plugins.create("sampler", chosen.name, chosen.options, given={"seed": 0})
    told = getattr(made, "shortlisted", 0)
    fits = isinstance(told, int) and told >= 0
    found = answered(made, "shortlisted", told, fits=fits, expected="a number of networks, or 0")
    return int(found)


def _disk(factory: Factory, seen: Timed, files: int) -> dict[str, Range]:
    """By stage; weights are kept of candidates that are trained, and of each finalist's files."""
    budget = factory.config.budget
    _, each = _training_epochs(factory)

    def kept(networks: int) -> Range:
        return _ordered([_BYTES_A_PARAMETER * networks * size for size in seen.parameters])

    told = (_CANDIDATE_BYTES * budget.candidates,) * 3
    return {
        "start": (_REPORT_BYTES,) * 3,
        "search": _sum([told, kept(budget.candidates if each else 0)]),
        "finalists": kept(at_most(factory.config, budget.finalists) * (files + 2)),
    }


def _epoch_seconds(factory: Factory, seen: Specimen) -> float:
    train = factory.config.train
    steps = math.ceil(len(factory.footing.feed("train")) / train.batch_size)
    network = factory.build(seen.genotype)
    return 1.15 * steps * seconds_per_step(network, factory.footing, train)


def _times(count: float, values: Sequence[float]) -> Range:
    low, middle, high = (count * value for value in values)
    return low, middle, high


def _sum(ranges: Sequence[Range]) -> Range:
    low, middle, high = (sum(each[place] for each in ranges) for place in range(3))
    return low, middle, high


def _ordered(values: Sequence[float]) -> Range:
    """Noise may have the smallest network take longest."""
    low, middle, high = sorted(map(float, values))
    return low, middle, high


def _range(values: Sequence[float]) -> Range:
    low, middle, high = values
    return low, middle, high
