"""Answers of a network, changed a few at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator import Choices, Question, SamplerContext

__all__ = ["is_nothing", "levels", "numbers_of", "with_answers"]

# So many of a long or a real question's answers are looked at.
_LEVELS = 9
_ROUNDS = 8
# What answers are called that put nothing there.
_NOTHING = frozenset({"", "none", "no", "off", "skip", "skip_connect", "identity", "zero", "empty"})


def levels(question: Question) -> Sequence[Any]:
    """Its options in their order; some that span them where they are many or real."""
    if question.kind == "real":
        low, high = question.options
        return [low + (high - low) * place / (_LEVELS - 1) for place in range(_LEVELS)]
    last = len(question.options) - 1
    if question.kind == "categorical" or last < _LEVELS:
        return list(question.options)
    places = sorted({round(last * place / (_LEVELS - 1)) for place in range(_LEVELS)})
    return [question.options[place] for place in places]


def numbers_of(question: Question) -> Sequence[float]:
    """Its options where they are numbers, rising; none where they are not, or there is but one."""
    found = levels(question) if question.kind == "real" else question.numbers
    return found if len(found) > 1 else []


def is_nothing(answer: Any) -> bool:
    """Whether an answer puts nothing there: a switch that is off, no number, a word like none."""
    if isinstance(answer, str):
        return answer.lower() in _NOTHING
    return answer is None or answer is False or answer == 0


def with_answers(context: SamplerContext, choices: Choices, changed: Mapping[str, Any]) -> Choices:
    """All answers of the network where `changed` replace those of `choices`.

    What is asked only now is answered like its neighbour: a stage's new block as the one before it,
    as the papers repeat blocks. Only what has no neighbour is drawn.
    """
    given = {**choices, **changed}
    for _ in range(_ROUNDS):
        complete = context.complete(given)
        new = [name for name in complete if name not in given]
        alike = {name: given[other] for name in new if (other := _neighbour(context, name, given))}
        if not alike:
            break
        given |= alike
    return context.complete(given)


def _neighbour(context: SamplerContext, name: str, given: Choices) -> str:
    """The nearest question before it of the same name but for one number; empty without any."""
    for found in reversed(list(re.finditer(r"\d+", name))):
        for number in range(int(found.group()) - 1, -1, -1):
            other = f"{name[: found.start()]}{number}{name[found.end() :]}"
            if other in given and context.questions[name].has(given[other]):
                return other
    return ""
