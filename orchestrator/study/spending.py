"""What a search takes, kept in its folder, and what it has yet to take."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.analysis.display import about
from orchestrator.errors import RunError
from orchestrator.files import read_json, reading, write_json
from orchestrator.measuring.costs import Cost, cpu_seconds, peak_bytes
from orchestrator.plan.learning import Learning, Remaining, Taken
from orchestrator.study.study import Study

__all__ = ["Spending", "left_of", "told_left"]

_FORMAT = 1
_FILE = "taken.json"
# The folder is looked through, and the file written, for no more than this share of the time.
_LOOK_SHARE = 0.02
_LOOK_SECONDS = 1.0


class Spending:
    """What one process takes for a search, with what others took before it.

    It is written down with the steps, unless somebody only asks.
    """

    def __init__(self, study: Study, concurrent: int, *, writes: bool = True) -> None:
        self._folder, self._writes = study.folder, writes
        self._before, learnt = _read(self._folder)
        self._learning = Learning(study.plan.forecast, learnt)
        self._concurrent = concurrent
        self._since, self._own_cpu = time.monotonic(), cpu_seconds()
        self._tasks_cpu = self._worker_bytes = self._disk = 0.0
        self._tasks = 0
        self._look_at = 0.0

    def heard(self, cost: Cost) -> None:
        """What a worker's task took."""
        self._tasks_cpu += cost.cpu_seconds
        self._worker_bytes = max(self._worker_bytes, cost.memory_bytes)
        self._tasks += cost.memory_bytes > 0

    def enter(self, name: str, total: int, done: int = 0) -> Remaining:
        """A stage begins, of which so many steps are done."""
        self._learning.phase(name, total, self.taken)
        return self.step(done)

    def step(self, done: int) -> Remaining:
        """So many of its steps are done; what is left of the search."""
        due = time.monotonic() >= self._look_at
        self._learning.step(done, self.taken)
        if due and self._writes:
            self.write()
        return self._learning.remaining

    @property
    def taken(self) -> Taken:
        """Until now."""
        self._look()
        before = self._before
        at_once = peak_bytes() + self._concurrent * self._worker_bytes if self._tasks else 0.0
        return Taken(
            before.seconds + time.monotonic() - self._since,
            before.cpu_seconds + cpu_seconds() - self._own_cpu + self._tasks_cpu,
            self._disk,
            max(before.memory_bytes, at_once),
            before.tasks + self._tasks,
        )

    def write(self) -> None:
        """Keep it, for whoever goes on with the search or asks."""
        with suppress(RunError):  # a full disk is told by what matters
            write_json(self._folder / _FILE, self._learning.to_json(), format=_FORMAT)

    def close(self) -> Taken:
        """Write down what was taken in all."""
        self._look_at = 0.0
        self.write()
        return self.taken

    def _look(self) -> None:
        """At the folder, now and then."""
        start = time.monotonic()
        if start >= self._look_at:
            self._disk = _bytes_of(self._folder)
            took = time.monotonic() - start
            self._look_at = start + max(_LOOK_SECONDS, took / _LOOK_SHARE)


def left_of(study: Study, concurrent: int) -> Remaining:
    """What a search that stopped has yet to take, by what it took so far."""
    spending = Spending(study, concurrent, writes=False)
    budget = study.config.budget
    if study.finalists:
        total = max(budget.finalists, len(study.finalists))
        return spending.enter("finalists", total, len(study.finalists))
    return spending.enter("search", budget.candidates, study.ledger.paid)


def told_left(left: Remaining) -> str:
    """In one sentence; empty where nobody can say."""
    if left.seconds is not None and left.seconds[2] <= 0:
        return "Nothing is left of it."
    told = (
        (left.seconds, "s", ""),
        (left.cpu_seconds, "s", " of CPU"),
        (left.memory_bytes, "bytes", " of memory"),
        (left.disk_bytes, "bytes", " more of disk"),
    )
    parts = [f"{about(each, unit)}{what}" for each, unit, what in told if each is not None]
    return f"Left, by what was taken so far: {', '.join(parts)}." if parts else ""


def _read(folder: Path) -> tuple[Taken, Mapping[str, tuple[float, float]]]:
    """What was taken and learnt before; nothing in a new folder. Raises RunError where damaged."""
    path = folder / _FILE
    if not path.is_file():
        return Taken(), {}
    with reading(path, "Remove it; it only tells costs."):
        told: Mapping[str, Any] = read_json(path, format=_FORMAT)
        learnt = {name: (float(one), float(two)) for name, (one, two) in told["learnt"].items()}
        return Taken(**told["taken"]), learnt


def _bytes_of(folder: Path) -> float:
    """Of all files in it, those that come and go left out."""
    found = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found += os.lstat(os.path.join(parent, name)).st_size
    return float(found)
