"""A question: a choice that a space or a compressor asks a trial for, as numbers may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, Literal

__all__ = ["Question"]

# More options than this make one column of numbers rather than a column each.
_MOST_COLUMNS = 64


@dataclass(frozen=True)
class Question:
    """One name that is asked for, with all it may be answered by.

    `options` in the order in which they are offered; (low, high) where `kind` is "real". The
    weights of its `columns` are such that the squared distance between the codes of two answers is
    0 for equal ones, 1 for two categories, and ½ + ½ · (difference in rank, as a share of the
    widest) for ordered ones. What is not asked is coded by zeros; its distance from any answer is
    about 1.
    """

    name: str
    kind: Literal["categorical", "ordered", "real"]
    options: Sequence[Any]

    @cached_property
    def columns(self) -> int:
        """How many numbers code an answer."""
        return 2 if self._long else 1 + self._count + (self._count - 1) * self._ranked

    def code(self, answer: Any) -> list[float]:
        """The numbers of an answer: asked at all, then which of the options.

        Raises KeyError for an answer that is not among the options.
        """
        if self._long:
            return [0.5**0.5, self._place(answer)]
        return self._codes[_key(answer) if answer.__class__ is bool else answer]

    def _coded(self, rank: int) -> list[float]:
        weight = (0.25 if self._ranked else 0.5) ** 0.5
        which = [weight * (place == rank) for place in range(self._count)]
        if not self._ranked:
            return [0.5**0.5, *which]
        step = (0.5 / max(1, self._count - 1)) ** 0.5
        below = [step * (place < rank) for place in range(self._count - 1)]
        return [0.5**0.5, *which, *below]

    def has(self, answer: Any) -> bool:
        """Whether it is one of the options, or lies between the two of a real question."""
        if self._long:
            if self.kind != "real":
                return not isinstance(answer, bool) and answer in self.options
            low, high = self.options
            return bool(low <= answer <= high)
        try:
            return (_key(answer) if answer.__class__ is bool else answer) in self._codes
        except TypeError:  # a list, which has no hash
            return answer in self.options

    @cached_property
    def numbers(self) -> Sequence[float]:
        """Its options where all are numbers, rising, or the two ends of a real one; else none."""
        plain = all(isinstance(n, Real) and not isinstance(n, bool) for n in self.options)
        return sorted(self.options) if plain else []

    def below(self, answer: Any) -> Sequence[float]:
        """The numbers that are less than an answer, rising; of a real one the low end and itself.

        None where the answer is no number.
        """
        if self.kind == "real":
            return [self.options[0], answer] if answer > self.options[0] else []
        return [number for number in self.numbers if number < answer]

    @property
    def _ranked(self) -> bool:
        return self.kind == "ordered"

    @cached_property
    def _long(self) -> bool:
        return self.kind == "real" or (self._ranked and self._count > _MOST_COLUMNS)

    @property
    def _count(self) -> int:
        return len(self.options)

    @cached_property
    def _codes(self) -> dict[Any, list[float]]:
        """Made once: a sampler codes hundreds of candidates for each that it proposes."""
        return {_key(option): self._coded(rank) for rank, option in enumerate(self.options)}

    def _place(self, answer: Any) -> float:
        low, high = self.options[0], self.options[-1]
        if not low <= answer <= high:
            raise KeyError(answer)
        return (answer - low) / (high - low) if high > low else 0.0


def _key(answer: Any) -> Any:
    """1 == True, so a switch is told from a number; JSON may turn 1.0 into 1."""
    return ("switch", answer) if isinstance(answer, bool) else answer
