"""What is kept from proposal to proposal; all of it follows from the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator_guided.coding import Coder
from orchestrator_guided.prior import Prior
from orchestrator_guided.process import Observations, Process
from orchestrator_guided.start import Start

__all__ = ["FEWEST", "Memory", "Static", "step_of"]

Floats = NDArray[np.float64]

# Observations that hyper-parameters are learnt from, which is where the time goes.
_MOST_FITTED = 200
# What a process is made of at least.
FEWEST = 2


@dataclass
class Static:
    """A static objective as it is guessed before it is counted."""

    logarithmic: bool = False
    told: int = 0
    centre: Floats = field(default_factory=lambda: np.zeros(0))
    questions: list[str] = field(default_factory=list)


@dataclass
class Memory:
    """What is kept from proposal to proposal to save time; all of it follows from the records."""

    coder: Coder
    start: Start
    priors: Mapping[str, Prior] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    statics: dict[str, Static] = field(default_factory=dict)
    _learnt: dict[str, int] = field(default_factory=dict)

    def process(
        self, name: str, count: int, growth: float, told: Callable[[int], Observations]
    ) -> Process:
        """With hyper-parameters learnt at the last step up to `count`, from what was told by then.

        Only the numbers of steps decide what they are learnt from, so that a resumed search comes
        to the same.
        """
        process = self.processes.setdefault(name, Process(prior=self.priors.get(name)))
        step = step_of(count, growth)
        if step != self._learnt.get(name, 0):
            observations = told(step)
            if len(observations) > _MOST_FITTED:
                some = np.random.default_rng(step).permutation(len(observations))[:_MOST_FITTED]
                observations = observations.rows(np.sort(some))
            process.learn(observations)
            self._learnt[name] = step
        return process


def step_of(count: int, growth: float) -> int:
    """The largest number up to `count` of a series that grows so; 0 below the first."""
    found, following = 0, FEWEST
    while following <= count:
        found, following = following, max(following + 1, int(following * growth))
    return found
