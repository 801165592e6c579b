"""The study's journal file: the only truth of a search, opened so that it survives crashes."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from orchestrator.errors import RunError
from orchestrator.faults.locks import LockTaken, named, take

__all__ = ["OneWriter", "exclusive", "open_storage"]

_PATIENCE_SECONDS = 3.0


class _Journal(JournalFileBackend):
    """Appends without Optuna's lock file, which a killed process leaves behind.

    `exclusive` keeps other processes out instead. Drawn parameters are written at once but synced
    with the next line that matters, which saves most of the file's cost.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with open(self._file_path, "ab") as file:
            file.write(("\n".join(lines) + "\n").encode())
            file.flush()
            if any("param_name" not in log for log in logs):
                os.fsync(file.fileno())


class OneWriter(JournalStorage):
    """A journal that this process alone writes, so that it knows whether anything is queued.

    Optuna looks for queued trials before each proposal, among all that there are: at ten thousand
    that takes longer than the rest of a step. What is `hidden`, by number, samplers do not see.
    """

    def __init__(self, backend: _Journal) -> None:
        super().__init__(backend)
        self._queued = True
        self.hidden: set[int] = set()

    def every_trial(self, study_id: int) -> list[FrozenTrial]:
        """All of them, hidden ones too."""
        return super().get_all_trials(study_id, deepcopy=False)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As Optuna's; a template may be of a trial that waits."""
        self._queued = self._queued or template_trial is not None
        return super().create_new_trial(study_id, template_trial)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """What samplers may see; that none waits is remembered."""
        if states != (TrialState.WAITING,):
            found = super().get_all_trials(study_id, deepcopy, states)
            return [t for t in found if t.number not in self.hidden] if self.hidden else found
        found = super().get_all_trials(study_id, deepcopy, states) if self._queued else []
        self._queued = bool(found)
        return found


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


def open_storage(path: Path, *, mend: bool) -> JournalStorage:
    """Optuna's storage on a journal; raises RunError if it is not one.

    Only who holds the folder may `mend`: to another reader a line that is being written looks torn.
    """
    try:
        if path.exists():
            _refuse_foreign(path)
            if mend:
                _mend(path)
        return (OneWriter if mend else JournalStorage)(_Journal(str(path)))
    except (ValueError, LookupError, AssertionError, TypeError, AttributeError, OSError) as error:
        raise RunError(
            f"{path} cannot be read as a study's journal: {error!r}. Restore it from a copy, or "
            "start a new search in another folder."
        ) from error


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
