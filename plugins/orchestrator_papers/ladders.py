"""How each choice of a network may be made cheaper, step by step, from the largest network on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from orchestrator import Choices, Question, SamplerContext
from orchestrator_papers.answers import is_nothing, levels, numbers_of, with_answers

__all__ = ["Ladders", "rungs_of"]

_PASSES = 4


@dataclass(frozen=True)
class Ladders:
    """The largest network, and each question's answers from its own down to the cheapest.

    By the static objective `guide`. Where there is none, larger numbers count as dearer, and
    anything as dearer than nothing; what is neither stays as it is.
    """

    context: SamplerContext
    guide: str
    largest: Choices
    rungs: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, context: SamplerContext, guide: str, basis: Choices) -> Self:
        """From `basis`, whose answers stay wherever they change no cost."""
        largest = with_answers(context, {}, basis)
        for _ in range(_PASSES):
            before, largest = largest, _enlarged(context, guide, largest)
            if before == largest:
                break
        rungs = {name: rungs_of(context, guide, largest, name) for name in largest}
        return cls(context, guide, largest, {n: r for n, r in rungs.items() if len(r) > 1})

    def cost(self, choices: Choices) -> float:
        """What the guide tells; not a number where there is none, or no such network."""
        return _cost(self.context, self.guide, choices)

    def shrunk(self, share: float) -> Choices:
        """The largest network with every question `share` of the way down its rungs."""
        down = {name: rungs[round(share * (len(rungs) - 1))] for name, rungs in self.rungs.items()}
        return with_answers(self.context, self.largest, down)

    def below(self, choices: Choices, name: str, most: float) -> Choices | None:
        """The network with that question so far down that it costs `most`, or as far as it goes.

        None where it is at the bottom, is not asked, or saves nothing.
        """
        rungs = self.rungs[name]
        if name not in choices or choices[name] not in rungs:
            return None
        before, best = self.cost(choices), None
        for answer in rungs[rungs.index(choices[name]) + 1 :]:
            lower = with_answers(self.context, choices, {name: answer})
            cost = self.cost(lower)
            if math.isnan(cost) and not self.guide:
                return lower
            if cost < before:
                best = lower
            if cost <= most:
                break
        return best


def _cost(context: SamplerContext, guide: str, choices: Choices) -> float:
    values = context.counted(choices) if guide else None
    return math.nan if values is None else values[guide]


def _enlarged(context: SamplerContext, guide: str, choices: Choices) -> Choices:
    """One question after the other at its dearest answer."""
    for name in list(choices):
        if name not in choices:  # asked no more
            continue
        rungs = rungs_of(context, guide, choices, name, dearer=True)
        choices = with_answers(context, choices, {name: rungs[-1]})
    return choices


def rungs_of(
    context: SamplerContext, guide: str, choices: Choices, name: str, *, dearer: bool = False
) -> Sequence[Any]:
    """From the answer of `choices` on those that cost ever less, or ever more if `dearer`."""
    question, own = context.questions[name], choices[name]
    if not guide:
        return _by_number(question, own, dearer=dearer)
    priced = [
        (_cost(context, guide, with_answers(context, choices, {name: answer})), answer)
        for answer in levels(question)
    ]
    here, sign = _cost(context, guide, choices), 1 if dearer else -1
    apart = {cost: answer for cost, answer in reversed(priced) if sign * (cost - here) > 0}
    return [own, *(apart[cost] for cost in sorted(apart, reverse=not dearer))]


def _by_number(question: Question, own: Any, *, dearer: bool) -> Sequence[Any]:
    if numbers := numbers_of(question):
        return [own, *(n for n in numbers if n > own)] if dearer else _falling(numbers, own)
    other = [option for option in question.options if is_nothing(option) != is_nothing(own)]
    return [own, *other[-1:]] if other and is_nothing(own) == dearer else [own]


def _falling(numbers: Sequence[float], own: Any) -> Sequence[Any]:
    return [own, *(n for n in reversed(numbers) if n < own)]
