"""The study's journal file: the only truth of a search, opened so that it survives crashes."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    check_distribution_compatibility,
    json_to_distribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, _storage
from optuna.trial import FrozenTrial, TrialState

from orchestrator.contracts.objective import Axis
from orchestrator.errors import RunError
from orchestrator.faults.locks import LockTaken, named, take
from orchestrator.files import reading
from orchestrator.records import Record

__all__ = [
    "OneWriter",
    "exclusive",
    "families",
    "open_search",
    "open_storage",
    "read_records",
    "read_result",
    "record_of",
    "variants_of",
]

_PATIENCE_SECONDS = 3.0
# How a line begins that tells one answer of a trial.
_ANSWER = f'{{"op_code":{_storage.JournalOperation.SET_TRIAL_PARAM.value},'.encode()
# A space asks every candidate the same few questions, each of which Optuna would make anew from its
# text for each of them: a fifth of a long search's memory, and of a proposal's time. It also
# compares each with the one before, option by option: a fifth of what opening a journal takes.
_storage.json_to_distribution = lru_cache(maxsize=4096)(json_to_distribution)  # type: ignore[attr-defined]


def _check_alike(old: BaseDistribution, new: BaseDistribution) -> None:
    """As Optuna's check; the same object needs none."""
    if old is not new:
        check_distribution_compatibility(old, new)


_storage.check_distribution_compatibility = _check_alike  # type: ignore[assignment,attr-defined]


class _Journal(BaseJournalBackend):
    """Appends without Optuna's lock file, which a killed process leaves behind.

    `exclusive` keeps other processes out instead, so that nothing is read again that was written
    here. A candidate's answers are written with what comes after them; all else is written at
    once, so that a killed process loses none. Against a power cut outcomes are synced, those of a
    group together; what was only handed out goes with the next of them. That saves most of the
    file's cost.
    """

    def __init__(self, path: Path, *, answers: bool = True) -> None:
        self._path = path
        self._answers = answers
        self._opened = False
        self._fresh: list[bytes] = []  # lines that Optuna has not heard of yet
        self._held: list[bytes] = []  # lines that are not in the file yet
        self._grouped = self._unsynced = False
        if not path.exists():
            path.touch()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines, but for a candidate's answers, which wait for the next."""
        lines = [json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs]
        self._fresh += lines
        self._held += lines
        if all("param_name" in log for log in logs):
            return
        with self._path.open("ab") as file:
            file.write(b"".join(self._held))
            file.flush()
            self._held = []
            self._unsynced = self._unsynced or any(map(_is_outcome, logs))
            if self._unsynced and not self._grouped:
                self._sync(file)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """What Optuna has not heard of: all of the file at first, then what was appended here."""
        if not self._opened:
            self._opened = True
            yield from self._whole()
        fresh, self._fresh = self._fresh, []
        yield from map(json.loads, fresh)

    def _whole(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):  # it is being written
                    continue
                if self._answers or not line.startswith(_ANSWER):
                    yield json.loads(line)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is appended in here is synced once, at the end."""
        self._grouped = True
        try:
            yield
        finally:
            self._grouped = False
            if self._unsynced:
                with self._path.open("ab") as file:
                    self._sync(file)

    def _sync(self, file: IO[bytes]) -> None:
        os.fsync(file.fileno())
        self._unsynced = False


def _is_outcome(log: Mapping[str, Any]) -> bool:
    """Whether a line is more than that a candidate is drawn and handed out."""
    if "user_attr" in log:
        return "genotype" not in log["user_attr"]
    if log["op_code"] == _storage.JournalOperation.CREATE_TRIAL:
        return "record" in log.get("user_attrs", {})
    return log.get("state") != TrialState.RUNNING


class OneWriter(JournalStorage):
    """A journal that this process alone writes, so that it knows what is queued.

    Optuna looks for queued trials before each proposal, among all that there are: at ten thousand
    that takes longer than the rest of a step. What is `hidden`, by number, samplers do not see.
    """

    def __init__(self, backend: _Journal) -> None:
        super().__init__(backend)
        self.together = backend.together
        # Trials that wait, by Optuna's own numbers; None: nobody has looked yet.
        self._queued: list[int] | None = None
        self._count: int | None = None
        self.hidden: set[int] = set()

    def every_trial(self, study_id: int) -> list[FrozenTrial]:
        """All of them, hidden ones too."""
        return super().get_all_trials(study_id, deepcopy=False)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As Optuna's; a template may be of a trial that waits."""
        made = super().create_new_trial(study_id, template_trial)
        waits = template_trial is not None and template_trial.state == TrialState.WAITING
        if waits and self._queued is not None:
            self._queued.append(made)
        self._count = None if self._count is None else self._count + 1
        return made

    def next_number(self, study_id: int) -> int:
        """What the next trial will be called; the trials are counted once."""
        if self._count is None:
            self._count = len(self.every_trial(study_id))
        return self._count

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """What samplers may see; which of them wait is looked for once, and remembered."""
        if states != (TrialState.WAITING,):
            found = super().get_all_trials(study_id, deepcopy, states)
            return [t for t in found if t.number not in self.hidden] if self.hidden else found
        if self._queued is None:
            found = super().get_all_trials(study_id, deepcopy, states)
        else:
            found = [self.get_trial(known) for known in self._queued]
        waiting = [trial for trial in found if trial.state == TrialState.WAITING]
        self._queued = [trial._trial_id for trial in waiting]
        return waiting


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a run's folder; raises RunError if another process does. Freed even by kill -9."""
    try:
        # Whoever was stopped a moment ago still writes its report.
        file = take(folder / "lock", seconds=_PATIENCE_SECONDS, mode=0o666)
    except LockTaken as taken:
        raise RunError(
            f"{folder} is in use by {named(taken.holders)}. Wait for it, or stop it, then resume."
        ) from None
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error.strerror or error}. A search needs write access "
            "to it, and a disk with free space."
        ) from error
    with file:
        yield


def open_storage(path: Path, *, mend: bool, answers: bool = True) -> JournalStorage:
    """Optuna's storage on a journal; raises RunError if it is not one.

    Only who holds the folder may `mend`: to another reader a line that is being written looks torn.
    Without `answers` trials have no parameters, which are most of a journal's lines.
    """
    try:
        if path.exists():
            _refuse_foreign(path)
            if mend:
                _mend(path)
        return (OneWriter if mend else JournalStorage)(_Journal(path, answers=answers))
    except (ValueError, LookupError, AssertionError, TypeError, AttributeError, OSError) as error:
        raise RunError(
            f"{path} cannot be read as a study's journal{_fault(path)}: {error!r}. Restore it from "
            "a copy, or start a new search in another folder."
        ) from error


def record_of(trial: FrozenTrial, path: Path) -> Record:
    """What the journal at `path` holds of a finished candidate; RunError names file and line."""
    try:
        with reading(path):
            return Record.from_json(trial.user_attrs["record"])
    except RunError as error:
        line = _line(path, lambda log: _tells_record(log, trial))
        told = str(error).removeprefix(str(path)).lstrip(": ")
        raise RunError(f"{path}, line {line}: {told}") from error


def _tells_record(log: Any, trial: FrozenTrial) -> bool:
    return log.get("trial_id") == trial._trial_id and "record" in log.get("user_attr", {})


def _fault(path: Path) -> str:
    """Which is the first of a journal's lines that is none of a journal."""
    line = _line(path, lambda log: not isinstance(log, dict) or "op_code" not in log)
    return f", line {line}" if line else ""


def _line(path: Path, sought: Callable[[Any], bool]) -> int | None:
    """The number of the first line whose values are sought, or that is no JSON."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if sought(json.loads(line)):
                    return number
    except ValueError:
        return number
    except (OSError, AttributeError):
        pass
    return None


def _refuse_foreign(path: Path) -> None:
    """A file that does not begin like a journal is left as it is, rather than cut as torn."""
    with path.open("rb") as file:
        start = file.read(1)
    if start not in (b"", b"{"):
        raise ValueError(f"it begins with {start!r}, expected b'{{'")


def _mend(path: Path) -> None:
    """Cut a torn last line, as a full disk or a power cut leaves; else the next one glues to it."""
    with path.open("rb+") as file:
        data = file.read()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            file.truncate(end)
            file.flush()
            os.fsync(file.fileno())


def read_records(journal: Path) -> list[Record]:
    """What a run has learnt, by candidate number; raises RunError for an unreadable journal.

    There is none yet where a run was stopped before its search began, while its teacher trained.
    """
    if not journal.is_file():
        if (journal.parent / "results").exists():
            raise RunError(
                f"{journal} is missing although candidates were evaluated. Restore it from a copy."
            )
        return []
    storage = open_storage(journal, mend=False, answers=False)
    records = [
        replace(record_of(trial, journal), variants=())
        for study in storage.get_all_studies()
        for trial in storage.get_all_trials(study._study_id, deepcopy=False)
        if "record" in trial.user_attrs
    ]
    return sorted(records, key=lambda record: record.number)


def variants_of(number: int, trials: Sequence[FrozenTrial]) -> set[str]:
    """The genotypes of a training's variants that are in the journal."""
    records = [t.user_attrs["record"] for t in trials if t.user_attrs.get("variant_of") == number]
    return {Record.from_json(record).genotype.key for record in records}


def read_result(path: Path) -> Record | None:
    """What a worker kept of a candidate; None where there is nothing that can be read."""
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):  # of a worker that was killed
        return None
    with reading(path):
        return Record.from_json(told)


def families(records: Sequence[Record]) -> list[Record]:
    """Trainings with what each gave beside in `variants`, as they were told."""
    found: dict[int, list[Record]] = {r.number: [r] for r in records if r.network is None}
    for record in records:
        if record.network in found:
            found[record.network].append(record)
    return [replace(first, variants=tuple(rest)) for first, *rest in found.values()]


def open_search(journal: Path, axes: Sequence[Axis]) -> optuna.Study:
    """The study of a journal that this process holds, made where there is none; RunError."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=open_storage(journal, mend=True),
        study_name="search",
        directions=[axis.direction for axis in axes],
        load_if_exists=True,
    )
    _check_objectives(study, [axis.name for axis in axes], journal)
    return study


def _check_objectives(study: optuna.Study, names: list[str], journal: Path) -> None:
    stored = study.user_attrs.get("objectives")
    if stored is None:
        study.set_user_attr("objectives", names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(names)
    elif stored != names:
        raise RunError(
            f"{journal} was searched for {', '.join(stored)}, not for {', '.join(names)}. Use "
            "another run.dir for a search with other objectives."
        )
