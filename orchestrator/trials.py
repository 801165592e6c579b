"""Trials without a study: drawn at random, or answered from known choices; and their seeds."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ConfigError

__all__ = [
    "AskedTrial",
    "FixedTrial",
    "PartlyKnownTrial",
    "Question",
    "RandomTrial",
    "ScopedTrial",
    "SilentTrial",
    "apart",
    "every_answer",
]

# A prime beyond what anybody numbers, so that two runs share no seed.
_APART = 1_000_003


def apart(seed: int, number: int) -> int:
    """The seed of the `number`-th thing of a run that is seeded by `seed`."""
    return _APART * seed + number


class Question(ABC):
    """What a trial is asked."""

    @property
    @abstractmethod
    def options(self) -> Sequence[Any]:
        """Every answer, or a few that span a range of real numbers."""

    @property
    def extremes(self) -> Sequence[Any]:
        """Every answer that has no place in an order, else the first and the last."""
        return [self.options[0], self.options[-1]]

    @property
    def size(self) -> int:
        """How many answers there are; 1 for real numbers, which are not counted."""
        return len(self.options)

    @abstractmethod
    def drawn(self, rng: random.Random) -> Any:
        """An answer, all alike likely."""

    @abstractmethod
    def allows(self, value: Any) -> bool:
        """Whether this is an answer."""


@dataclass(frozen=True)
class _OneOf(Question):
    choices: tuple[Any, ...]

    def __str__(self) -> str:
        return f"one of {list(self.choices)}"

    @property
    def options(self) -> Sequence[Any]:
        return self.choices

    @property
    def extremes(self) -> Sequence[Any]:
        return self.choices

    def drawn(self, rng: random.Random) -> Any:
        return rng.choice(self.choices)

    def allows(self, value: Any) -> bool:
        # 1 == True == 1.0, so types are compared too, except that JSON may turn 1.0 into 1.
        return any(
            value == choice and isinstance(value, bool) == isinstance(choice, bool)
            for choice in self.choices
        )


@dataclass(frozen=True)
class _Whole(Question):
    low: int
    high: int
    step: int

    def __str__(self) -> str:
        return f"in {self.low}…{self.high} by {self.step}"

    @property
    def options(self) -> Sequence[Any]:
        return range(self.low, self.high + 1, self.step)

    def drawn(self, rng: random.Random) -> Any:
        return rng.randrange(self.low, self.high + 1, self.step)

    def allows(self, value: Any) -> bool:
        return not isinstance(value, bool) and value in self.options


@dataclass(frozen=True)
class _Real(Question):
    low: float
    high: float

    def __str__(self) -> str:
        return f"in [{self.low}, {self.high}]"

    @property
    def options(self) -> Sequence[Any]:
        return [self.low + (self.high - self.low) * fourth / 4 for fourth in range(5)]

    @property
    def size(self) -> int:
        return 1

    def drawn(self, rng: random.Random) -> Any:
        return rng.uniform(self.low, self.high)

    def allows(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)


class AskedTrial(ABC):
    """A trial that answers every question in one place."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self.answer(name, _OneOf(tuple(choices)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer in [low, high]."""
        return int(self.answer(name, _Whole(low, high, step)))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number in [low, high]."""
        return float(self.answer(name, _Real(low, high)))

    @abstractmethod
    def answer(self, name: str, question: Question) -> Any:
        """What the question is answered with, repeated ones alike."""


class RandomTrial(AskedTrial):
    """Uniform answers; `choices` holds what was asked and answered."""

    def __init__(self, seed: int) -> None:
        self.choices: dict[str, Any] = {}
        self._random = random.Random(seed)

    def answer(self, name: str, question: Question) -> Any:
        """Drawn; Optuna answers a repeated question alike, so we do too."""
        return self.choices.setdefault(name, question.drawn(self._random))


class PartlyKnownTrial(RandomTrial):
    """Answers from `known` where it has one, at random where it has none.

    For a network that is known by its architecture alone, of which more is asked.
    """

    def __init__(self, known: Mapping[str, Any], seed: int) -> None:
        super().__init__(seed)
        self._known = known

    def answer(self, name: str, question: Question) -> Any:
        """The known answer, else a drawn one."""
        drawn = question.drawn(self._random)
        return self.choices.setdefault(name, self._known.get(name, drawn))


class FixedTrial(AskedTrial):
    """Answers from `known`; raises ConfigError for a missing or impossible answer.

    `asked` tells afterwards which of them had an effect.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self.asked: dict[str, Any] = {}

    def answer(self, name: str, question: Question) -> Any:
        """The known answer."""
        if name not in self.known:
            raise ConfigError(f"no answer is known for {name!r}; known: {sorted(self.known)}.")
        value = self.known[name]
        if not question.allows(value):
            raise ConfigError(f"{name}={value!r} is not {question}.")
        self.asked[name] = value
        return value


class _Endless(Exception):
    """A question has more answers than anybody goes through."""


class _Branch(AskedTrial):
    """Answers by `turns`, the place of each answer among its question's; the first after those."""

    def __init__(self, turns: Sequence[int]) -> None:
        self.choices: dict[str, Any] = {}
        self.turns: list[int] = []
        self.sizes: list[int] = []
        self._given = turns

    def answer(self, name: str, question: Question) -> Any:
        """The answer whose turn it is; raises _Endless for real numbers."""
        if isinstance(question, _Real):
            raise _Endless
        if name not in self.choices:
            place = len(self.turns)
            self.turns.append(self._given[place] if place < len(self._given) else 0)
            self.sizes.append(question.size)
            self.choices[name] = question.options[self.turns[-1]]
        return self.choices[name]


def every_answer(
    ask: Callable[[AskedTrial], Any], most: int
) -> list[tuple[dict[str, Any], Any]] | None:
    """All answers to what `ask` asks, each (name → value) with what comes of it, in order.

    None where there are more than `most`, or real numbers among them.
    """
    found: list[tuple[dict[str, Any], Any]] = []
    turns: list[int] | None = []
    while turns is not None:
        branch = _Branch(turns)
        try:
            found.append((branch.choices, ask(branch)))
        except _Endless:
            return None
        if len(found) > most:
            return None
        turns = _next(branch)
    return found


def _next(branch: _Branch) -> list[int] | None:
    """The turns of the branch after this one; None after the last."""
    for place in range(len(branch.turns) - 1, -1, -1):
        if branch.turns[place] + 1 < branch.sizes[place]:
            return [*branch.turns[:place], branch.turns[place] + 1]
    return None


class SilentTrial:
    """Asks `trial` all questions but those called `unasked`, which get their first answer."""

    def __init__(self, trial: Any, unasked: Collection[str]) -> None:
        self._trial = trial
        self._unasked = unasked

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        if name in self._unasked:
            return choices[0]
        return self._trial.suggest_categorical(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer in [low, high]."""
        if name in self._unasked:
            return low
        return int(self._trial.suggest_int(name, low, high, step=step))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number in [low, high]."""
        if name in self._unasked:
            return low
        return float(self._trial.suggest_float(name, low, high))


class ScopedTrial:
    """Asks `trial` under a name of its own: "pruning.ratio" becomes "b.ratio".

    `name` is what questions begin with, `scope` what they begin with instead. Nothing changes
    where both are the same.
    """

    def __init__(self, trial: Any, name: str, scope: str) -> None:
        self._trial = trial
        self._name = name
        self._scope = scope

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self._trial.suggest_categorical(self._scoped(name), choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer in [low, high]."""
        return int(self._trial.suggest_int(self._scoped(name), low, high, step=step))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number in [low, high]."""
        return float(self._trial.suggest_float(self._scoped(name), low, high))

    def _scoped(self, name: str) -> str:
        if self._name == self._scope:
            return name
        return f"{self._scope}.{name.removeprefix(f'{self._name}.')}"
