"""Which choices decide an objective.

The measure is the share of an objective's variance that a choice explains: the variance between
the groups of candidates that made the same choice, with the small-sample correction epsilon²
(Kelley 1935, doi 10.1073/pnas.21.9.554), because without it a choice with many levels looks
important by chance. A conditional choice is judged among the candidates that had it, then scaled
by their part of the whole variance: it does not inherit the weight of the choice it depends on.
Shares need not add up to 1: choices act together, and a sampler that has settled makes them
vary together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.display import human
from orchestrator.records import Choices

__all__ = ["Effect", "Level", "effects"]

MOST_LEVELS = 6
LEAST_CANDIDATES = 6

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """One answer to a choice: how many candidates gave it, and their mean objective."""

    text: str
    count: int
    mean: float


@dataclass(frozen=True)
class Effect:
    """A choice and the share of an objective's variance it explains, in [0, 1]."""

    choice: str
    share: float
    levels: tuple[Level, ...]


def effects(choices: Sequence[Choices], values: Sequence[float]) -> list[Effect]:
    """The choices by their share, largest first; those that never vary are left out.

    `choices` and `values` belong together, one a candidate. Empty below six candidates, or where
    the objective does not vary.
    """
    figures = np.asarray(values, dtype=np.float64)
    total = _scatter(figures)
    if len(figures) < LEAST_CANDIDATES or total <= 0:
        return []
    names = dict.fromkeys(name for answers in choices for name in answers)
    found = [_effect(name, choices, figures) for name in names]
    return sorted((e for e in found if e is not None), key=lambda effect: -effect.share)


def _effect(name: str, choices: Sequence[Choices], figures: Values) -> Effect | None:
    active = [row for row, answers in enumerate(choices) if name in answers]
    groups = _groups([choices[row][name] for row in active])
    members = {text: figures[[active[i] for i in rows]] for text, rows in groups.items()}
    if len(members) < 2:
        return None
    levels = tuple(Level(text, len(v), float(v.mean())) for text, v in members.items())
    return Effect(name, _share(members, _scatter(figures)), levels)


def _share(members: Mapping[str, Values], total: float) -> float:
    """Epsilon² over groups of two and more, as a part of the `total` sum of squares."""
    groups = [group for group in members.values() if len(group) > 1]
    count = sum(len(group) for group in groups)
    if len(groups) < 2 or count <= len(groups) or count < LEAST_CANDIDATES:
        return 0.0
    within = sum(_scatter(group) for group in groups)
    between = _scatter(np.concatenate(groups)) - within
    noise = (len(groups) - 1) * within / (count - len(groups))
    return min(1.0, max(0.0, (between - noise) / total))


def _scatter(figures: Values) -> float:
    """The sum of squares about the mean."""
    return float(((figures - figures.mean()) ** 2).sum()) if len(figures) else 0.0


def _groups(answers: Sequence[Any]) -> dict[str, list[int]]:
    """Text of a level → positions in `answers`, in order; many numbers become four ranges."""
    rows_of: dict[Any, list[int]] = {}
    for row, answer in enumerate(answers):
        rows_of.setdefault(_hashed(answer), []).append(row)
    # All else is asked of the few answers that there are, not of the candidates.
    distinct = [answers[rows[0]] for rows in rows_of.values()]
    if _numeric(distinct) and len(set(distinct)) > MOST_LEVELS:
        return _ranges([float(answer) for answer in answers])
    groups: dict[str, list[int]] = {}
    keyed = zip(map(_key, distinct), rows_of.values(), strict=True)
    for (_, _, text), rows in sorted(keyed, key=lambda pair: pair[0]):
        groups.setdefault(text, []).extend(rows)
    return groups


def _hashed(answer: Any) -> Any:
    """What tells answers apart; 1 and True are two, and a list has no hash."""
    try:
        hash(answer)
    except TypeError:
        return repr(answer)
    return answer.__class__, answer


def _ranges(numbers: Sequence[float]) -> dict[str, list[int]]:
    edges = np.unique(np.quantile(numbers, [0.0, 0.25, 0.5, 0.75, 1.0]))
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    groups: dict[str, list[int]] = {}
    for place in range(len(edges) - 1):
        low, high = human(float(edges[place]), ""), human(float(edges[place + 1]), "")
        rows = [int(row) for row in np.flatnonzero(places == place)]
        if rows:
            groups[f"{low} … {high}"] = rows
    return groups


def _numeric(answers: Sequence[Any]) -> bool:
    return all(
        isinstance(a, int | float) and not isinstance(a, bool) and math.isfinite(a) for a in answers
    )


def _key(answer: Any) -> tuple[bool, float, str]:
    """An answer in sorting order: numbers by size, then everything else by its text."""
    text = f"{answer:g}" if isinstance(answer, float) else str(answer)
    numeric = _numeric([answer])
    return not numeric, float(answer) if numeric else 0.0, text
