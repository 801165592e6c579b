"""Trials without a study: drawn at random, or answered from known choices."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.errors import ConfigError

__all__ = ["FixedTrial", "RandomTrial", "ScopedTrial"]


class RandomTrial:
    """Uniform answers; `choices` holds what was asked and answered."""

    def __init__(self, seed: int) -> None:
        self.choices: dict[str, Any] = {}
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return self._keep(name, self._random.choice(list(choices)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """An integer in [low, high]."""
        return int(self._keep(name, self._random.randrange(low, high + 1, step)))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number in [low, high]."""
        return float(self._keep(name, self._random.uniform(low, high)))

    def _keep(self, name: str, value: Any) -> Any:
        # Optuna answers a repeated question alike, so we do too.
        return self.choices.setdefault(name, value)


class FixedTrial:
    """Answers from `known`; raises ConfigError for a missing or impossible answer.

    `asked` tells afterwards which of them had an effect.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self.asked: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The known answer, which must be one of `choices`."""
        value = self._answer(name)
        # 1 == True == 1.0, so types are compared too, except that JSON may turn 1.0 into 1.
        if not any(
            value == choice and isinstance(value, bool) == isinstance(choice, bool)
            for choice in choices
        ):
            raise ConfigError(f"{name}={value!r} is not one of {list(choices)}.")
        return self._keep(name, value)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        """The known answer, which must be low + n·step and at most high."""
        value = self._answer(name)
        if isinstance(value, bool) or value not in range(low, high + 1, step):
            raise ConfigError(f"{name}={value!r} is not in {low}…{high} by {step}.")
        return int(self._keep(name, value))

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """The known answer, which must lie in [low, high]."""
        value = self._answer(name)
        if not low <= value <= high:
            raise ConfigError(f"{name}={value!r} is not in [{low}, {high}].")
        return float(self._keep(name, value))

    def _answer(self, name: str) -> Any:
        if name not in self.known:
            raise ConfigError(f"no answer is known for {name!r}; known: {sorted(self.known)}.")
        return self.known[name]

    def _keep(self, name: str, value: Any) -> Any:
        self.asked[name] = value
        return value


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
