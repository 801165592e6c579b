"""What is taken for what: as a matrix, and as mistakes, the commonest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Mistake", "Pairs", "matrix", "mistakes"]

# (class that is true, class answered, how many images or pixels) of each pair that occurs.
Pairs = Sequence[tuple[str, str, int]]


@dataclass(frozen=True)
class Mistake:
    """`count` images or pixels of `truth` were taken for `answer`, of the `total` that it has."""

    truth: str
    answer: str
    count: int
    total: int

    @property
    def told(self) -> str:
        """Such as "6 of 36"."""
        return f"{self.count} of {self.total}"


def matrix(classes: Sequence[str], found: Pairs) -> tuple[list[str], list[list[int]]]:
    """Names, and a row for each truth with a count for each answer.

    `classes` come first and in their order, then what else occurs.
    """
    counts = {(truth, answer): count for truth, answer, count in found}
    names = list(dict.fromkeys([*classes, *(name for pair in counts for name in pair)]))
    return names, [[counts.get((truth, answer), 0) for answer in names] for truth in names]


def mistakes(found: Pairs) -> list[Mistake]:
    """Every pair that is one, the commonest first; those as common by their names."""
    totals: Counter[str] = Counter()
    for truth, _, count in found:
        totals[truth] += count
    wrong = [Mistake(*pair, totals[pair[0]]) for pair in found if pair[0] != pair[1]]
    return sorted(wrong, key=lambda each: (-each.count, each.truth, each.answer))
