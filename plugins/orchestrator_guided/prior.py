"""What earlier searches under other conditions say of an objective, until this one knows better.

Of each objective a process is fitted to what an earlier search found of it. What it expects is the
mean that this search's own process departs from, times a weight that own observations decide: they
begin by believing it, and where it does not go along with them its share of what is expected falls
to nothing. Near own observations it counts for nothing anyhow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, Earlier
from orchestrator_guided.coding import Coder
from orchestrator_guided.evidence import Evidence
from orchestrator_guided.losses import Loss
from orchestrator_guided.process import Observations, Process

__all__ = ["Prior", "best_of", "borne_out", "priors_of"]

Floats = NDArray[np.float64]

_MOST_SEEN, _MOST_FITTED, _FEWEST = 320, 200, 4
_FRONT = 12
# So many own observations weigh as much as the belief that the prior is right.
_STRENGTH = 4.0
# How far it may be wrong before anything is known, as a share of its own spread.
_DOUBT = 0.5


@dataclass
class Prior:
    """One objective as an earlier search knew it, as it is modelled."""

    coder: Coder
    choices: Sequence[Choices]
    values: Floats
    _process: Process = field(default_factory=Process)
    _questions: list[str] = field(default_factory=list)
    _centre: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def spread(self) -> float:
        """The standard deviation of what it was told."""
        return float(self.values.std())

    def mean(self, codes: Floats) -> Floats:
        """What it expects (n,) at codes (n, columns)."""
        self._see()
        return self._process.expect(codes, codes - self._centre)

    def ask(self, codes: Floats) -> tuple[Floats, Floats]:
        """What is expected where nothing is known yet, and how far that may be wrong: (n,) each."""
        self._see()
        mean, deviation = self._process.ask(codes, codes - self._centre)
        return mean, np.hypot(deviation, _DOUBT * self.spread)

    def weight(self, told: Observations) -> float:
        """How much of it own observations bear out, in [0, 1]: least squares, from 1 on."""
        return borne_out(self.mean(told.codes), told.values, self.spread)

    def _see(self) -> None:
        """Fitted anew only as questions are met."""
        questions = self.coder.questions
        if questions == self._questions:
            return
        self._questions = questions
        codes = self.coder.pool(self.choices)
        self._centre = codes.mean(0)
        none = np.zeros(len(codes))
        told = Observations(codes, codes - self._centre, self.values, none, questions)
        rows = np.random.default_rng(len(told)).permutation(len(told))
        self._process.learn(told.rows(np.sort(rows[:_MOST_FITTED])))
        self._process.see(told.rows(np.sort(rows[:_MOST_SEEN])))


def borne_out(expected: Floats, observed: Floats, spread: float) -> float:
    """The share of what was expected (n,) that observations (n,) go along with."""
    if len(observed) < 2:
        return 1.0
    apart, own = expected - expected.mean(), observed - observed.mean()
    belief = _STRENGTH * max(spread**2, 1e-12)
    return float(np.clip((belief + apart @ own) / (belief + apart @ apart), 0.0, 1.0))


def priors_of(
    earlier: Sequence[Earlier], losses: Sequence[Loss], axes: int, coder: Coder
) -> dict[str, Prior]:
    """Of each objective whose values do not hold here, by name; where enough is known of it.

    Of several earlier searches the one that knows most speaks for an objective: their scales are
    not each other's.
    """
    found: dict[str, Prior] = {}
    for before in sorted(earlier, key=lambda entry: len(entry.records)):
        known = Evidence(losses, axes, ())
        known.read(before.records)
        whole = coder.ask(known.choices)
        for place, loss in enumerate(losses):
            if loss.axis.name in before.holds or not len(known):
                continue
            values = known.target(place, len(known))[0]
            fine = np.isfinite(values) & ~known.failed
            if fine.sum() >= _FEWEST:
                chosen = [whole[place] for place in np.flatnonzero(fine)]
                found[loss.axis.name] = Prior(coder, chosen, values[fine])
    return found


def best_of(earlier: Sequence[Earlier], losses: Sequence[Loss], axes: int) -> list[Choices]:
    """Answers of those that were best in earlier searches, a few of each, spread over its front."""
    found: list[Choices] = []
    for before in earlier:
        known = Evidence(losses, axes, ())
        known.read(before.records)
        front = sorted(known.front, key=lambda place: tuple(known.points[place]))
        chosen = np.unique(np.linspace(0, len(front) - 1, _FRONT).round().astype(int))
        found += [known.choices[known.owners[front[place]]] for place in chosen] if front else []
    return found
