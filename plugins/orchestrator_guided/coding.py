"""Codes of choices as processes see them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, SamplerContext
from orchestrator_guided.pool import told_of
from orchestrator_guided.rows import Rows

__all__ = ["Coder"]

Floats = NDArray[np.float64]

# Draws by which the questions of a space become known, the same ones in each process.
_DRAWN = 48


@dataclass
class Coder:
    """Codes by the questions of known networks and of some draws.

    Which those are follows from the records alone: what else was met while candidates were bred is
    left out, so that a resumed search sees what the first one saw. `told` are those of all known
    networks.
    """

    context: SamplerContext
    drawn: list[Choices] = field(init=False)
    told: set[Hashable] = field(default_factory=set)
    borrowed: int = 0
    _asked: set[str] = field(default_factory=set)
    _known: Rows = field(default_factory=lambda: Rows(0))

    def __post_init__(self) -> None:
        self.drawn = [self.context.random(number) for number in range(_DRAWN)]
        for choices in self.drawn:
            self._asked.update(choices)

    @property
    def questions(self) -> list[str]:
        """The question that each column belongs to."""
        return [name for name in self.context.columns if name in self._asked]

    def records(self, choices: Sequence[Choices]) -> Floats:
        """(n, columns) of all candidates so far; what is no question is left out.

        The first `borrowed` are networks of earlier searches, which are not known in this one.
        """
        start = len(self._known)
        new = [self._whole(chosen) for chosen in choices[start:]]
        for place, chosen in enumerate(new, start):
            self._asked.update(chosen)
            if place >= self.borrowed:
                self.told.add(told_of(chosen))
        codes = [self.context.encode(chosen) for chosen in new]
        self._known.widen(len(self.context.columns))
        for code in codes:
            self._known.append(code)
        return self._chosen(self._known.array)

    def ask(self, choices: Sequence[Choices]) -> list[Choices]:
        """Whole answers of candidates of earlier searches, whose questions are known from now."""
        whole = [self.context.complete(chosen) for chosen in choices]
        for chosen in whole:
            self._asked.update(chosen)
        return whole

    def _whole(self, chosen: Choices) -> Choices:
        """As they were told, which is all of them, but where they answer what nobody has asked."""
        met = chosen.keys() <= self.context.questions.keys()
        return chosen if met else self.context.complete(chosen)

    def pool(self, choices: Sequence[Choices]) -> Floats:
        """(n, columns) of whole answers."""
        codes = [self.context.encode(chosen) for chosen in choices]
        padded = Rows(len(self.context.columns))
        for code in codes:
            padded.append(code)
        return self._chosen(padded.array)

    def _chosen(self, codes: Floats) -> Floats:
        kept = np.array([name in self._asked for name in self.context.columns], dtype=bool)
        return codes if kept.all() else codes[:, kept]
