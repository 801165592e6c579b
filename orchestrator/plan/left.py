"""How much a job has yet to take, all its stages counted, learnt from what took how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Left", "Portion", "Range"]

# Least, expected, most.
Range = tuple[float, float, float]

# What is timed counts as much as the forecast once so many of a stage are done, and once so much
# of the whole job is.
_STEPS = 2.0
_SHARE = 0.1


@dataclass(frozen=True)
class Portion:
    """What one stage is expected to take in all, for so many steps."""

    name: str
    count: int
    amount: Range


@dataclass
class _Running:
    """The stage that runs: since when, with how many of its steps done then, and now."""

    name: str
    total: int
    since: float
    first: int = -1
    done: int = 0
    elapsed: float = 0.0


class Left:
    """What is left of a job by its forecast, corrected by what its steps took.

    Of anything that only grows: seconds of any clock, seconds of CPU, bytes on disk. Stages that
    the forecast does not have count only while they run. `learnt` is what another of the same job
    had learnt when it ended.
    """

    def __init__(
        self, portions: Sequence[Portion], learnt: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self._stages = {portion.name: portion for portion in portions}
        self._ahead = list(self._stages)
        self._took, self._expected = learnt
        self._running: _Running | None = None

    def phase(self, name: str, total: int, now: float) -> None:
        """A stage of `total` steps begins; what comes before it is done."""
        self._close()
        self._running = _Running(name, total, now)
        if name in self._ahead:
            self._ahead = self._ahead[self._ahead.index(name) + 1 :]

    def step(self, done: int, now: float) -> None:
        """So many steps of the stage are done."""
        running = self._running
        if running is None:
            return
        if running.first < 0:
            running.first, running.since = done, now
        running.done, running.elapsed = done, now - running.since

    @property
    def learnt(self) -> tuple[float, float]:
        """What steps took so far, and what they were expected to."""
        took, expected = self._gained()
        return self._took + took, self._expected + expected

    @property
    def amount(self) -> Range | None:
        """Least, expected and most; None where nothing is known yet."""
        here = self._here()
        ahead = [self._stages[name] for name in self._ahead]
        if here is None and not ahead:
            return None
        correction = self._correction()
        left = (here or 0.0) + correction * sum(stage.amount[1] for stage in ahead)
        low, high = self._spread(ahead)
        return left * low, left, left * high

    def _here(self) -> float | None:
        """Left of the stage that runs."""
        running = self._running
        if running is None:
            return None
        gained = max(0, running.done - max(running.first, 0))
        step = self._expected_step(running)
        if step is None:
            if not gained:
                return None
            each = running.elapsed / gained
        else:
            expected = self._correction(without_running=True) * step
            each = (_STEPS * expected + running.elapsed) / (_STEPS + gained)
        return each * max(0, running.total - running.done)

    def _expected_step(self, running: _Running) -> float | None:
        stage = self._stages.get(running.name)
        if stage is None or not stage.count or not stage.amount[1]:
            return None
        return stage.amount[1] / stage.count

    def _correction(self, *, without_running: bool = False) -> float:
        """How many times longer than expected things took."""
        took, expected = self._took, self._expected
        if not without_running:
            more = self._gained()
            took, expected = took + more[0], expected + more[1]
        prior = _SHARE * sum(stage.amount[1] for stage in self._stages.values())
        return (prior + took) / (prior + expected) if prior + expected > 0 else 1.0

    def _gained(self) -> tuple[float, float]:
        """What the running stage took so far, and should have."""
        running = self._running
        step = self._expected_step(running) if running else None
        if running is None or step is None or running.first < 0:
            return 0.0, 0.0
        return running.elapsed, step * (running.done - running.first)

    def _close(self) -> None:
        took, expected = self._gained()
        self._took, self._expected = self._took + took, self._expected + expected

    def _spread(self, ahead: Sequence[Portion]) -> tuple[float, float]:
        """The forecast's interval as factors, narrower the more is known."""
        stages = [*ahead, *filter(None, [self._stages.get(getattr(self._running, "name", ""))])]
        low, middle, high = (sum(stage.amount[i] for stage in stages) for i in range(3))
        if middle <= 0:
            return 1.0, 1.0
        known = self._expected + self._gained()[1]
        doubt = middle / (middle + known)
        return 1 - doubt * (1 - low / middle), 1 + doubt * (high / middle - 1)
