"""The forecast of a search as it goes on: what is left, learnt from what it took so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.plan.forecast import Forecast
from orchestrator.plan.left import Left, Portion, Range

__all__ = ["Learning", "Remaining", "Taken"]

# What only grows, as forecasts and `Taken` call it.
_GROWING = ("seconds", "cpu_seconds", "disk_bytes")
# What processes were seen to take counts as much as the forecast once so many tasks were.
_TASKS = 2.0


@dataclass(frozen=True)
class Taken:
    """What a search has taken so far, over all processes that went on with it.

    `cpu_seconds` are of the driver and of its workers' tasks on whatever machine, `memory_bytes`
    the most that the driver and as many of its workers as run at once had, known after `tasks`.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    disk_bytes: float = 0.0
    memory_bytes: float = 0.0
    tasks: int = 0


@dataclass(frozen=True)
class Remaining:
    """What a search has yet to take, and its memory at its most; None where nobody can say."""

    seconds: Range | None
    cpu_seconds: Range | None
    disk_bytes: Range | None
    memory_bytes: Range | None


class Learning:
    """One `Left` for each thing that grows, fed by the same stages and steps."""

    def __init__(
        self, forecast: Forecast | None, learnt: Mapping[str, tuple[float, float]] | None = None
    ) -> None:
        self._forecast = forecast
        stages = forecast.stages if forecast else ()
        self._taken = Taken()
        self._lefts = {
            name: Left(
                [Portion(stage.name, stage.count, getattr(stage, name)) for stage in stages],
                (learnt or {}).get(name, (0.0, 0.0)),
            )
            for name in _GROWING
        }

    def phase(self, name: str, total: int, taken: Taken) -> None:
        """A stage of `total` steps begins."""
        self._taken = taken
        for each, left in self._lefts.items():
            left.phase(name, total, getattr(taken, each))

    def step(self, done: int, taken: Taken) -> None:
        """So many steps of the stage are done."""
        self._taken = taken
        for each, left in self._lefts.items():
            left.step(done, getattr(taken, each))

    @property
    def remaining(self) -> Remaining:
        """By what is known now."""
        return Remaining(
            **{name: left.amount for name, left in self._lefts.items()}, memory_bytes=self._memory
        )

    @property
    def _memory(self) -> Range | None:
        """Between the forecast and what was seen, nearer to that the more was."""
        seen, tasks = self._taken.memory_bytes, self._taken.tasks
        if self._forecast is None:
            return (seen, seen, seen) if tasks else None
        share = tasks / (tasks + _TASKS)
        low, middle, high = (
            (1 - share) * foreseen + share * seen for foreseen in self._forecast.memory_bytes
        )
        return low, middle, high

    @property
    def learnt(self) -> dict[str, tuple[float, float]]:
        """For another that goes on with the same search."""
        return {name: left.learnt for name, left in self._lefts.items()}

    def to_json(self) -> dict[str, Any]:
        """What was taken and learnt, as JSON values."""
        return {"taken": asdict(self._taken), "learnt": self.learnt}
