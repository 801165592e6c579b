"""Relatives of the network that was trained: what is part of it, and so inherits all it learnt.

A relative is at most as wide, as deep and as large in every answer that is a number, with all other
answers its own: a random draw has other activations and attention in most places, for which its
weights were never trained. The fewer answers are lowered, the more of what was trained is left
whole. So few are, mostly, and rather those that save much: half the resolution saves more than any
width and leaves every weight where it is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

from orchestrator.contracts.sampler import SamplerContext
from orchestrator.errors import ConfigError
from orchestrator.records import Choices

__all__ = ["Relatives"]

# What saves nothing by itself is lowered as if it saved this share of what the others save on
# average: a depth may be worth lowering only beside a width.
_LEAST = 0.1


@dataclass
class Relatives:
    """Of one search; there are none where candidates start from noise."""

    context: SamplerContext

    def some(self, count: int, rng: random.Random) -> list[Choices]:
        """So many at most, the nearest first, none of them twice.

        What the start leaves open, such as how to compress, is drawn.
        """
        drawn = [self._draw(rng) for _ in range(count)] if self._weights else []
        found = {self.context.draw(choices).key: choices for choices in drawn}
        return sorted(found.values(), key=self._changes)

    def _changes(self, choices: Choices) -> int:
        """Answers of the trained network that are others here, or are not asked for."""
        return sum(choices.get(name) != answer for name, answer in self._trained.items())

    def _draw(self, rng: random.Random) -> Choices:
        """With one to all of its answers lowered, few rather than many."""
        weights = self._weights
        count = int((len(weights) + 1) ** rng.random())
        # The largest of such keys are a draw without replacement (Efraimidis and Spirakis 2006).
        keys = {name: rng.random() ** (1 / weight) for name, weight in weights.items()}
        names = sorted(keys, key=keys.__getitem__, reverse=True)[:count]
        return self._lowered({name: self._less(name, rng) for name in names})

    @cached_property
    def _whole(self) -> Choices:
        start = self.context.start
        return {} if start is None else self.context.complete(start)

    @cached_property
    def _trained(self) -> Choices:
        """Without what the start leaves open."""
        start = self.context.start or {}
        return {name: answer for name, answer in self._whole.items() if name in start}

    @cached_property
    def _weights(self) -> Mapping[str, float]:
        """How readily each answer is lowered: by what its least saves of what is static.

        Costs a count of each such network, once.
        """
        saved = {
            name: self._saved(self._lowered({**self._whole, name: below[0]}))
            for name, answer in self._trained.items()
            if (below := self.context.questions[name].below(answer))
        }
        usual = sum(saved.values()) / max(1, len(saved)) or 1.0
        return {name: max(each, _LEAST * usual) for name, each in saved.items()}

    def _saved(self, choices: Choices) -> float:
        """In all that is static, each as the logarithm of its share; 0 where nothing is."""
        before, after = self.context.counted(self._whole), self.context.counted(choices)
        if not before or not after:
            return 0.0
        return sum(
            max(0.0, log(before[name] / after[name]))
            for name in before
            if before[name] > 0 and after.get(name, 0.0) > 0
        )

    def _less(self, name: str, rng: random.Random) -> Any:
        question = self.context.questions[name]
        below = question.below(self._trained[name])
        return rng.uniform(*below) if question.kind == "real" else rng.choice(below)

    def _lowered(self, changed: Mapping[str, Any]) -> Choices:
        """The trained network's answers but for those; itself where the space has no such one."""
        try:
            return self.context.complete({**self._trained, **changed})
        except ConfigError:  # an answer that is none where another is lower
            return self._whole
