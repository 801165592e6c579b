"""Two halves of one search, run on two machines, become one run's folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.analysis.agreement import read_checks
from orchestrator.analysis.remeasured import Remeasured
from orchestrator.candidate.former import as_it_began
from orchestrator.config import StudyConfig
from orchestrator.contracts import Budget
from orchestrator.errors import RunError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.files import write_json
from orchestrator.plan.planning import Plan
from orchestrator.plugins import Plugins
from orchestrator.records import Finalist, Record
from orchestrator.search.joining import Joined, Retold, join
from orchestrator.search.journal import read_records, read_result
from orchestrator.study.conditions import Conditions, told_apart
from orchestrator.study.earlier import Known, keep_earlier, kept_earlier
from orchestrator.study.picking import picked
from orchestrator.study.recalibrating import Recalibration, judged
from orchestrator.study.run_folder import RunFolder

__all__ = ["merge"]

_FORMAT = 1
# What is another run's own, is made anew, or was left half.
_OWN = ("lock", "mlflow.json", "report.html", "candidates.csv", "front.csv", "taken.json", ".*")


@dataclass(frozen=True)
class _Half:
    """One of the two, read whole."""

    home: RunFolder
    config: StudyConfig
    plan: Plan
    conditions: Conditions
    records: Sequence[Record]

    @classmethod
    def read(cls, folder: Path, plugins: Plugins) -> _Half:
        home = RunFolder(folder)
        config, plan = as_it_began(home.config(), plugins), home.plan()
        conditions = Conditions.of(config, plan, plugins)
        return cls(home, config, plan, conditions, read_records(home.journal))

    @property
    def path(self) -> Path:
        return self.home.path


@dataclass(frozen=True)
class _Told:
    """What the second half found, in units of the first one's calibration."""

    units: Recalibration
    budgets: Mapping[str, Budget]

    @classmethod
    def of(cls, halves: tuple[_Half, _Half], plugins: Plugins) -> _Told:
        first, second = halves
        items = first.config.objective.items()
        limits = {name: Budget(item.min, item.max) for name, item in items}
        budgets = {n: b for n, b in limits.items() if (b.min, b.max) != (None, None)}
        units = Recalibration.between(first.config, second.plan, first.plan, plugins)
        return cls(units, budgets)

    def record(self, record: Record) -> Record:
        """A record, judged by what its figures are now."""
        if not self.units.changes:
            return record
        return judged(self.units.record(record), self.budgets)


def merge(first: Path, second: Path, into: Path, plugins: Plugins) -> dict[int, int]:
    """Make one run's folder of two; the second's numbers → those that its candidates have now.

    The first's numbers stay. Both are left as they are. Raises RunError, with the reason, where
    they are no halves of one search, one of them is in use, or `into` is taken. A folder `into` is
    there whole or not at all, whenever this is killed.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise RunError(f"{into} is there already. Name a folder that is new, or empty.")
    if first.resolve() == second.resolve():
        raise RunError(f"{first} is named twice: a run cannot be merged with itself.")
    with ExitStack() as held:
        for folder in (first, second):
            RunFolder(folder).config()  # says what the folder is not, before a lock is left in it
            held.enter_context(RunFolder(folder).held())
        halves = _Half.read(first, plugins), _Half.read(second, plugins)
        _check_halves(*halves)
        into.parent.mkdir(parents=True, exist_ok=True)
        work = held.enter_context(WorkingFolder("merge", within=into.parent))
        return _built(halves, work / "run", into, plugins)


def _built(halves: tuple[_Half, _Half], work: Path, into: Path, plugins: Plugins) -> dict[int, int]:
    first, second = halves
    try:
        shutil.copytree(first.path, work, ignore=shutil.ignore_patterns(*_OWN))
        made = RunFolder(work)
        told = _Told.of(halves, plugins)
        joined = join(
            made.journal, second.home.journal, first.plan.axes, Retold(told.record, told.budgets)
        )
        _take_files(second, made, joined, told)
        _take_earlier(halves, work)
        if finalists := _finalists(halves, made, joined, told):
            made.write_finalists(finalists)
        made.keep_config(_config(first.config, second.config, into))
        names = [str(half.path.resolve()) for half in halves]
        write_json(work / "merged.json", {"of": names, "numbers": joined.numbers}, format=_FORMAT)
        os.rename(work, into)
    except OSError as error:
        raise RunError(
            f"{into} cannot be written: {error.strerror or error}. Nothing is left of it; free "
            "some disk space, or name a folder with write access."
        ) from error
    return joined.numbers


def _check_halves(first: _Half, second: _Half) -> None:
    """Raise RunError with all that tells two searches apart."""
    apart = _apart(first, second)
    if apart:
        raise RunError(
            f"{first.path} and {second.path} are no halves of one search: {'; '.join(apart)}. Give "
            "the one to a new search as sampler.history=[RUN]."
        )


def _apart(first: _Half, second: _Half) -> list[str]:
    here, there = first.conditions, second.conditions
    found = told_apart(here.space, there.space)
    differs = here.differs(there, list(here.objectives))
    if not any(record.latencies for half in (first, second) for record in half.records):
        # Which machine it was says nothing of what nobody measured.
        asked = [
            {k: v for k, v in c.device.items() if k.startswith("device")} for c in (here, there)
        ]
        differs["device"] = told_apart(*asked)
    found += [text for texts in differs.values() for text in texts]
    mine, theirs = (_agreed(half.config) for half in (first, second))
    return [*found, *(t for t in told_apart(mine, theirs) if t not in found)]


def _agreed(config: StudyConfig) -> dict[str, Any]:
    """What two halves of a search have alike beside what figures depend on."""
    objectives = {f"objective.{key}": asdict(item) for key, item in config.objective.items()}
    train = {f"train.{key}": value for key, value in asdict(config.train).items()}
    train.pop("train.threads")
    return {**objectives, **train, "budget.kept": config.budget.kept}


def _config(first: StudyConfig, second: StudyConfig, into: Path) -> StudyConfig:
    """The first's, with the candidates of both to pay for."""
    candidates = first.budget.candidates + second.budget.candidates
    budget = replace(first.budget, candidates=candidates)
    return replace(first, budget=budget, run=replace(first.run, dir=str(into)))


def _take_files(half: _Half, made: RunFolder, joined: Joined, told: _Told) -> None:
    """What a resumed search looks for: results nobody heard of, checks, weights, new latencies."""
    for number in joined.open:
        record = read_result(half.home.results / f"{number:04d}.json")
        if record is not None:
            known = replace(told.record(record), number=joined.numbers[number])
            path = made.results / f"{known.number:04d}.json"
            if not path.exists():
                write_json(path, known.to_json())
    for check in read_checks(half.home.checks):
        if check.number in joined.new:
            number = joined.numbers[check.number]
            record = replace(told.record(check.record), number=number)
            known_check = replace(check, record=record)
            write_json(made.checks / f"{number:04d}-{check.epochs:03d}.json", known_check.to_json())
    for name in ("weights", "teacher"):
        _take_missing(half.path / name, made.path / name)
    _take_remeasured(half.path, made.path, joined, told)


def _take_missing(source: Path, target: Path) -> None:
    """Files of a folder that the first half does not have; they are named for what is in them."""
    for path in source.rglob("*") if source.is_dir() else ():
        place = target / path.relative_to(source)
        if path.is_file() and not path.name.startswith(".") and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)


def _take_remeasured(source: Path, target: Path, joined: Joined, told: _Told) -> None:
    own, other = Remeasured.read(target), told.units.remeasured(Remeasured.read(source))
    numbers = [number for number in other.found if number in joined.new]
    if numbers:
        more = {joined.numbers[number]: other.found[number] for number in numbers}
        counts = {n: getattr(own, n) + getattr(other, n) for n in ("pairs", "left", "beyond")}
        Remeasured({**own.found, **more}, **counts).write(target)


def _take_earlier(halves: Sequence[_Half], target: Path) -> None:
    """What each half was given of earlier runs, each of these once."""
    known = [kept_earlier(half.path) for half in halves]
    evaluations = {r.genotype.key: r for each in known for r in each.evaluations}
    priors = {prior.origin: prior for each in known for prior in each.priors}
    keep_earlier(target, Known(list(evaluations.values()), list(priors.values())))


def _finalists(
    halves: tuple[_Half, _Half], made: RunFolder, joined: Joined, told: _Told
) -> list[Finalist]:
    """Of both, the second's in folders of their new numbers."""
    first, second = halves
    found = first.home.finalists()
    taken = {finalist.number for finalist in found}
    for finalist in second.home.finalists():
        number = joined.numbers.get(finalist.number)
        if number is not None and number not in taken:
            known = _renumbered(told.units.finalist(finalist), number, joined.numbers)
            shutil.copytree(second.path / finalist.folder, made.path / known.folder)
            write_json(made.path / known.folder / "result.json", known.to_json())
            found.append(known)
    return picked(found, first.plan.axes)


def _renumbered(finalist: Finalist, number: int, numbers: Mapping[int, int]) -> Finalist:
    """Under its new number, in a folder of that name."""
    own = f"{number:04d}-{finalist.id.partition('-')[2]}"
    folder = f"models/{own}"

    def placed(file: str) -> str:
        return folder + file.removeprefix(finalist.folder)

    files = [
        replace(
            file,
            file=placed(file.file),
            number=None if file.number is None else numbers.get(file.number),
        )
        for file in finalist.files
    ]
    name = finalist.name.replace(f"#{finalist.number}", f"#{number}", 1)
    moved = replace(finalist, folder=folder, file=placed(finalist.file), files=tuple(files))
    return replace(moved, id=own, number=number, name=name)
