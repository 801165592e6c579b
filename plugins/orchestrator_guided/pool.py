"""Candidates worth a thought: children of the front and of the best so far, and a few at random."""

from __future__ import annotations

import random
from collections.abc import Container, Hashable, Sequence
from typing import Any

from orchestrator import Choices, Question, SamplerContext
from orchestrator.errors import ConfigError

__all__ = ["Breeder", "told_of"]

_CROSSED = 0.35
_NEIGHBOUR = 0.6
_CHANGES, _SHARES = (1, 2, 3), (1 / 2, 1 / 3, 1 / 6)


class Breeder:
    """Makes new candidates of parents, none of which is in the pool or `known`."""

    def __init__(
        self, context: SamplerContext, rng: random.Random, known: Container[Hashable] = ()
    ) -> None:
        self._context = context
        self._rng = rng
        self._known = known
        self._met: set[Hashable] = set()

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
        drawn = (self._context.random(self._rng.getrandbits(31)) for _ in range(count))
        return [choices for choices in drawn if self._is_new(choices)]

    def new(self, choices: Sequence[Choices]) -> list[Choices]:
        """Those of some answers that nobody knows, whole."""
        whole = [self._context.complete(chosen) for chosen in choices]
        return [chosen for chosen in whole if self._is_new(chosen)]

    def _is_new(self, choices: Choices) -> bool:
        told = told_of(choices)
        if told in self._met or told in self._known:
            return False
        self._met.add(told)
        return True

    def _child(self, parents: Sequence[Choices]) -> Choices:
        rng, questions = self._rng, self._context.questions
        child = dict(rng.choice(parents))
        (changes,) = rng.choices(_CHANGES, _SHARES)
        if len(parents) > 1 and rng.random() < _CROSSED:
            other = rng.choice(parents)
            child |= {name: other[name] for name in child if name in other and rng.random() < 0.5}
            changes = rng.randrange(2)
        names = [name for name in child if name in questions]
        for name in rng.sample(names, min(changes, len(names))):
            child[name] = self._changed(questions[name], child[name])
        try:
            return self._context.complete(child)
        except ConfigError:  # an answer that this branch of the space does not offer
            return self._context.complete(rng.choice(parents))

    def _changed(self, question: Question, answer: Any) -> Any:
        rng = self._rng
        if question.kind == "real":
            low, high = question.options
            return min(high, max(low, answer + 0.1 * (high - low) * rng.gauss(0, 1)))
        options = question.options
        if len(options) < 2 or not question.has(answer):
            return answer
        place = options.index(answer)
        if question.kind == "ordered" and rng.random() < _NEIGHBOUR:
            step = rng.choice((-1, 1))
            return options[place + step if 0 <= place + step < len(options) else place - step]
        return options[(place + 1 + rng.randrange(len(options) - 1)) % len(options)]


def told_of(choices: Choices) -> Hashable:
    """The same for the same answers to the same questions, all of them in their order."""
    told = (tuple(choices), tuple(choices.values()))
    try:
        hash(told)
    except TypeError:  # a list, which has no hash
        return repr(told)
    return told
