"""EfficientNet's compound scaling: depth, width and resolution grow together."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from typing import Any

from orchestrator import Choices, History, Sampler, SamplerContext
from orchestrator.errors import PluginError, closest
from orchestrator_papers.aims import Aims
from orchestrator_papers.answers import numbers_of, with_answers
from orchestrator_papers.told import Point, Told, named, stranger

__all__ = ["CompoundSampler"]

Exponents = tuple[float, float, float]

# log₂ α, 2·log₂ β and 2·log₂ γ are so many parts of 1.
_PARTS = 4
# φ goes so far, up and down, in steps of 1, then between them.
_FARTHEST = 12
_FINER = (0.5, 0.25, 0.75)
# Of the grid's networks none counts that costs so much more than the middle one.
_ALIKE = 1.25
_DRAWS = 32
_PASSES = 3


class CompoundSampler(Sampler):
    """Tan and Le 2019 (arXiv 1905.11946).

    A baseline's depth, width and resolution are multiplied by α^φ, β^φ and γ^φ. First φ is 1, and
    a grid of α, β, γ ≥ 1 with α·β²·γ² = 2 is evaluated, so that multiply-adds double. The most
    accurate of these is kept, and φ scales the baseline up, then down, until the space ends; then
    come φ between those, and after them the next best of the grid.

    `base` names the baseline among the named networks that the search begins with; by default it is
    the cheapest of them, and without any the smallest of the space. `depth`, `width` and
    `resolution` are names of choices, whole or their last part, with `*` for anything; two of the
    three must be there, and the constraint is on those that are. `cost` is what networks of the
    grid are held alike by: by default a latency where one is searched for, else a static objective.

    What differs from the paper: choices offer steps, so depth is rounded up to the next answer, and
    width and resolution to the nearest; as that makes costs unequal, none of the grid counts that
    costs over 1.25 times the middle one. The grid is one of shares of the doubling, in quarters,
    rather than of α, β, γ in steps of 0.05. φ also shrinks.
    """

    name = "compound"

    def __init__(
        self,
        *,
        base: str | None = None,
        depth: Sequence[str] = ("depth", "layers", "d"),
        width: Sequence[str] = ("width", "w", "*.width.groups*", "expand"),
        resolution: Sequence[str] = ("resolution", "r"),
        cost: str | None = None,
    ) -> None:
        self.base = base
        self.patterns = {"depth": depth, "width": width, "resolution": resolution}
        self.cost = cost
        self._scale: _Scale | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Its options; all else follows from the history."""
        return {**vars(self), "_scale": None}

    def check(self, context: SamplerContext) -> None:
        """Raises PluginError for a space without two of depth, width and resolution."""
        Aims.of(context, self.name, self.cost)
        asked = {name for number in range(_DRAWS) for name in context.random(number)}
        found = set(self._roles(context, asked).values())
        if len(found) < 2:
            missing = ", ".join(role for role in self.patterns if role not in found)
            raise PluginError(
                f"sampler {self.name} scales depth, width and resolution, of which it needs two, "
                f"and finds no numbers to choose for {missing}; the space asks: "
                f"{', '.join(sorted(asked)) or 'nothing'}. Name such "
                f"choices by sampler.{missing.split(',')[0]}=[NAME], or choose another sampler."
            )

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        """The next network of the grid, then the next size; a draw when the space ends."""
        aims, told = Aims.of(context, self.name, self.cost), Told(history)
        base = self._baseline(history, context, aims)
        if self._scale is None or not self._scale.is_of(context, base):
            self._scale = _Scale(context, self._roles(context, base), base)
        planned = self._planned(self._scale, told, aims)
        found = (point for point in planned if told.is_open(point) and point.is_possible)
        following = next(found, None)
        return stranger(history, context) if following is None else following.choices

    def _planned(self, scale: _Scale, told: Told, aims: Aims) -> Iterator[Point]:
        grid = scale.grid
        yield scale.by((0.0, 0.0, 0.0), 1.0)
        yield from (scale.by(exponents, 1.0) for exponents in grid)
        for exponents in _ranked(scale, grid, told, aims):
            yield from scale.sizes(exponents)

    def _roles(self, context: SamplerContext, names: Iterable[str]) -> Mapping[str, str]:
        """Which of the choices are of which of the three."""
        found = {}
        for name in names:
            question = context.questions[name]
            last = name.rpartition(".")[2]
            for role, patterns in self.patterns.items():
                meant = any(fnmatch(name, one) or fnmatch(last, one) for one in patterns)
                if meant and numbers_of(question):
                    found[name] = role
        return found

    def _baseline(self, history: History, context: SamplerContext, aims: Aims) -> Choices:
        points = dict(named(history))
        if self.base is not None and self.base not in points:
            raise PluginError(f"sampler.base={self.base}: {closest(self.base, points)}")
        if self.base is not None:
            return points[self.base]
        priced = [
            (values[aims.guide], place, choices)
            for place, choices in enumerate(points.values())
            if aims.guide and (values := context.counted(choices)) is not None
        ]
        if priced:
            return min(priced)[2]
        return next(iter(points.values()), None) or self._smallest(context)

    def _smallest(self, context: SamplerContext) -> Choices:
        """Drawn, but for depth, width and resolution."""
        choices = context.random(0)
        for _ in range(_PASSES):
            roles = self._roles(context, choices)
            least = {name: numbers_of(context.questions[name])[0] for name in roles}
            choices = with_answers(context, choices, least)
        return choices


@dataclass(frozen=True)
class _Scale:
    """A baseline, and its choices that are scaled."""

    context: SamplerContext
    roles: Mapping[str, str]
    base: Choices
    _made: dict[tuple[Exponents, float], Point] = field(default_factory=dict)

    def is_of(self, context: SamplerContext, base: Choices) -> bool:
        """Whether it is that search's."""
        return self.context is context and self.base == base

    @cached_property
    def grid(self) -> Sequence[Exponents]:
        """log₂ of α, β, γ, (3,) each; those that build one network are there once."""
        kinds = {self.roles[name] for name in self.base if name in self.roles}
        there = [role in kinds for role in ("depth", "width", "resolution")]
        parts = range(_PARTS + 1)
        shares = [(d, w, _PARTS - d - w) for d in parts for w in parts if d + w <= _PARTS]
        # Evenly shared ones first: they are believed while nothing is told.
        shares.sort(key=lambda share: max(share) - min(share))
        found: dict[str, Exponents] = {}
        for share in shares:
            if all(part == 0 or is_there for part, is_there in zip(share, there, strict=True)):
                d, w, r = (part / _PARTS for part in share)
                exponents = (d, w / 2, r / 2)
                found.setdefault(self.by(exponents, 1.0).key, exponents)
        return list(found.values())

    def by(self, exponents: Exponents, phi: float) -> Point:
        """The baseline, scaled by φ."""
        if (exponents, phi) not in self._made:
            self._made[exponents, phi] = self._scaled(exponents, phi)
        return self._made[exponents, phi]

    def _scaled(self, exponents: Exponents, phi: float) -> Point:
        factors = dict(
            zip(
                ("depth", "width", "resolution"),
                (2 ** (phi * exponent) for exponent in exponents),
                strict=True,
            )
        )
        changed: dict[str, Any] = {
            name: _rounded(
                numbers_of(self.context.questions[name]),
                self.base[name] * factors[role],
                up=role == "depth",
            )
            for name, role in self.roles.items()
            if name in self.base
        }
        return Point(with_answers(self.context, self.base, changed), self.context)

    def sizes(self, exponents: Exponents) -> Iterator[Point]:
        """Larger ones, smaller ones, then those between."""
        whole = range(1, _FARTHEST + 1)
        between = [n + part for part in _FINER for n in range(-_FARTHEST, _FARTHEST)]
        for phi in (*whole, *(-n for n in whole), *sorted(between, key=abs)):
            yield self.by(exponents, phi)


def _ranked(scale: _Scale, grid: Sequence[Exponents], told: Told, aims: Aims) -> list[Exponents]:
    """The grid, the best first: those of like cost by accuracy, then what is not told."""
    records = {exponents: told.record(scale.by(exponents, 1.0)) for exponents in grid}
    kept = {exponents: aims.kept(record) for exponents, record in records.items()}
    spent = {exponents: aims.spent(record) for exponents, record in records.items()}
    costs = [cost for cost in spent.values() if cost is not None]
    most = _ALIKE * statistics.median(costs) if costs else 0.0

    def rank(exponents: Exponents) -> tuple[int, float]:
        quality, cost = kept[exponents], spent[exponents]
        if quality is None:
            return 2, 0.0
        return int(cost is not None and cost > most), -quality

    return sorted(grid, key=rank)


def _rounded(numbers: Sequence[float], wanted: float, *, up: bool) -> float:
    if up:
        return next((number for number in numbers if number >= wanted - 1e-9), numbers[-1])
    return min(numbers, key=lambda number: (abs(number - wanted), -number))
