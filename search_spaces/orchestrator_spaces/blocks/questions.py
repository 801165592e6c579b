"""How a space asks for what stands in a table; where there is one answer, it is not asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from orchestrator import Trial

__all__ = ["Range", "choose"]

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Range:
    """The integers low, low + step, …, high; `high` is among them."""

    low: int
    high: int
    step: int = 1

    def ask(self, trial: Trial, name: str) -> int:
        """Draw one of them as choice `name`."""
        if self.low == self.high:
            return self.low
        return trial.suggest_int(name, self.low, self.high, step=self.step)


def choose(trial: Trial, name: str, options: Iterable[AnswerT]) -> AnswerT:
    """Draw one of `options` as choice `name`."""
    first, *others = options
    if not others:
        return first
    answer: AnswerT = trial.suggest_categorical(name, [first, *others])
    return answer
