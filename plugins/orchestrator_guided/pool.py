"""Candidates worth a thought: children of the front and of the best so far, and a few at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrator import Choices, History, SamplerContext
from orchestrator.errors import ConfigError

__all__ = ["Breeder"]

_CROSSED = 0.35
_NEIGHBOUR = 0.6
_CHANGES = ((1, 1 / 2), (2, 1 / 3), (3, 1 / 6))


class Breeder:
    """Makes new candidates of parents; each is new to the search and to the pool."""

    def __init__(self, history: History, context: SamplerContext, rng: np.random.Generator) -> None:
        self._history = history
        self._context = context
        self._rng = rng
        self._met: set[str] = set()

    def children(self, parents: Sequence[Choices], count: int) -> list[Choices]:
        """As many as are found in three tries each."""
        found: list[Choices] = []
        for _ in range(3 * count if parents else 0):
            if len(found) == count:
                break
            child = self._child(parents)
            if self._is_new(child):
                found.append(child)
        return found

    def strangers(self, count: int) -> list[Choices]:
        """Random draws."""
        drawn = (self._context.random() for _ in range(count))
        return [choices for choices in drawn if self._is_new(choices)]

    def _is_new(self, choices: Choices) -> bool:
        genotype = self._context.draw(choices)
        if genotype.key in self._met or self._history.knows(genotype):
            return False
        self._met.add(genotype.key)
        return True

    def _child(self, parents: Sequence[Choices]) -> Choices:
        rng = self._rng
        child = dict(parents[int(rng.integers(len(parents)))])
        changes = rng.choice([n for n, _ in _CHANGES], p=[share for _, share in _CHANGES])
        if len(parents) > 1 and rng.random() < _CROSSED:
            other = parents[int(rng.integers(len(parents)))]
            child |= {name: other[name] for name in child if name in other and rng.random() < 0.5}
            changes = rng.integers(2)
        names = [name for name in child if name in self._context.questions]
        for name in rng.permutation(names)[:changes]:
            child[name] = self._changed(str(name), child[name])
        try:
            return self._context.complete(child)
        except ConfigError:  # an answer that this branch of the space does not offer
            return self._context.complete(parents[int(rng.integers(len(parents)))])

    def _changed(self, name: str, answer: Any) -> Any:
        question, rng = self._context.questions[name], self._rng
        if question.kind == "real":
            low, high = question.options
            near = answer + 0.1 * (high - low) * rng.standard_normal()
            return float(np.clip(near, low, high))
        options = list(question.options)
        if len(options) < 2 or answer not in options:
            return answer
        place = options.index(answer)
        if question.kind == "ordered" and rng.random() < _NEIGHBOUR:
            step = 1 if rng.random() < 0.5 else -1
            return options[place + step if 0 <= place + step < len(options) else place - step]
        return options[(place + 1 + int(rng.integers(len(options) - 1))) % len(options)]
