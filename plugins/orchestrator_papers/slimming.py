"""EfficientFormer's latency-driven slimming: by what is least important for what it saves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import pydantic

from orchestrator import Choices, History, Record, Sampler, SamplerContext
from orchestrator.errors import PluginError
from orchestrator_papers.aims import Aims
from orchestrator_papers.answers import with_answers
from orchestrator_papers.importance import Importance
from orchestrator_papers.ladders import Ladders
from orchestrator_papers.rounds import Rounds
from orchestrator_papers.slots import is_removable
from orchestrator_papers.told import Point, Told, named, stranger

__all__ = ["SlimmingSampler"]

Share = Annotated[float, pydantic.Field(gt=0, lt=1)]
Count = Annotated[int, pydantic.Field(ge=1)]

_DRAWS, _TRIES = 8, 3
# So many times a draw that breaks a static budget is made smaller.
_SMALLER = 12


class SlimmingSampler(Sampler):
    """Li et al. 2022 (arXiv 2206.01191), section 3.3; its authors have not published their code.

    First it learns: `learn` networks, each the largest of the space with chance having left out
    blocks and cut widths, say what each of these is worth. Then it slims the largest network. Each
    round proposes up to four networks that cost a share of `step` less: one that leaves out what
    is least important for what it saves, one that only leaves out blocks, one that only cuts
    widths, and one that only replaces operators by cheaper ones. What loses least accuracy for a
    unit of cost saved goes into the next round, until nothing can be left out. Then importance is
    learnt anew from all that is known, and the largest network is slimmed by that, until it leads
    to no new network; what keeps the budgets is drawn at random after that.

    `cost` names the objective to save: by default a latency where one is searched for, else a
    static one. `learn` is by default one network for each choice that can be reduced; evaluations
    of an earlier search (`sampler.history`) stand for as many of these.

    What differs from the paper:

    - It trains the weights of all blocks at once, and with them, by Gumbel-softmax, a coefficient
      for each that is set against the identity's. A sampler sees no weights: here importance is
      what a block adds to the accuracy of networks that were told, by a linear model over all
      choices (ridge regression). With `estimator=supernet` those networks share the weights of one
      training, as there, and cost an evaluation each.
    - Its table has the latency of each block. A static objective is counted exactly here, and so is
      saved what it says. A latency, whether measured or from a table of blocks
      (`objective.latency_ms.source=table`), is told only of what was proposed: what a block takes
      is learnt from that, as a line in the static objective and an addend for each choice.
    - Its actions are to leave out one block, to replace the first attention of a stage and to
      reduce the width of the least important stage by 16. Here any choice is reduced of which the
      cost falls: blocks, depths, widths, ratios, resolution; several at once where one saves less
      than `step`. Choices that change no cost stay as they are.
    - It stops at the latency asked for. Here networks above a static budget are passed on the way
      down without being proposed, by the accuracy that the model foretells, and it goes on to the
      smallest network, as a front is searched for.
    """

    name = "slimming"

    def __init__(
        self, *, learn: Count | None = None, step: Share = 0.1, cost: str | None = None
    ) -> None:
        self.learn = learn
        self.step = step
        self.cost = cost
        self._slimming: _Slimming | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Its options; all else follows from the history."""
        return {**vars(self), "_slimming": None}

    def check(self, context: SamplerContext) -> None:
        """Raises PluginError where nothing can be left out or cut, kept, or saved."""
        aims = Aims.of(context, self.name, self.cost)
        drawn = [context.random(number) for number in range(_DRAWS)]
        if not any(is_removable(context, aims.guide, choices) for choices in drawn):
            asked = ", ".join(sorted({name for choices in drawn for name in choices}))
            raise PluginError(
                "sampler slimming leaves out blocks and cuts widths, and finds no choice of this "
                "space that can be answered by nothing or by a smaller number and lowers "
                f"{aims.guide or aims.cost.name} by it; the space asks: {asked or 'nothing'}. "
                "Choose another sampler, such as guided."
            )

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        """The next network to learn from, then the next of a round; a draw at the end."""
        basis = next((choices for _, choices in named(history)), {})
        if self._slimming is None or not self._slimming.is_of(context, basis):
            aims = Aims.of(context, self.name, self.cost)
            ladders = Ladders.of(context, aims.guide, basis or context.random(0))
            learn = self.learn or len(ladders.rungs)
            self._slimming = _Slimming(basis, aims, ladders, learn, self.step)
        found = _Replay(self._slimming, Told(history)).next()
        return stranger(history, context) if found is None else found.choices


@dataclass
class _Slimming:
    """What of a search does not change, and what each of its descents learnt first."""

    basis: Choices
    aims: Aims
    ladders: Ladders
    learn: int
    step: float
    _descents: dict[tuple[int, ...], Rounds] = field(default_factory=dict)

    def is_of(self, context: SamplerContext, basis: Choices) -> bool:
        """Whether it is that search's."""
        return self.ladders.context is context and self.basis == basis

    @cached_property
    def largest(self) -> Point:
        """Where each descent begins."""
        return Point(self.ladders.largest, self.ladders.context)

    @cached_property
    def lessons(self) -> Sequence[Point]:
        """What importance is learnt from: the largest network, and what chance leaves of it."""
        found: dict[str, Point] = {}
        for number in range(_TRIES * self.learn):
            point = self._reduced(number)
            if point.is_possible and len(found) < self.learn:
                found.setdefault(point.key, point)
        return list(found.values())

    def rounds(self, records: Sequence[Record]) -> Rounds:
        """The rounds by what these records teach."""
        known = tuple(record.number for record in records)
        if known not in self._descents:
            importance = Importance.learnt(self.ladders.context, self.aims, records)
            self._descents[known] = Rounds(self.ladders, self.step, importance)
        return self._descents[known]

    def _answered(self, lower: Choices) -> Point:
        context = self.ladders.context
        return Point(with_answers(context, self.largest.choices, lower), context)

    def _reduced(self, number: int) -> Point:
        """The largest network but for what chance takes: nothing first, and more over a budget."""
        rng = random.Random(f"{self.ladders.context.search_seed}/{number}")
        share, point = rng.random(), self.largest
        for attempt in range(_SMALLER):
            if attempt or number:
                reduced = [name for name in self.ladders.rungs if rng.random() < share]
                lower = {name: rng.choice(self.ladders.rungs[name][1:]) for name in reduced}
                point = self._answered(lower)
            if point.is_possible:
                break
            share += (1 - share) / 3
        return point


@dataclass(frozen=True)
class _Replay:
    """A slimming as far as the history tells it."""

    slimming: _Slimming
    told: Told

    def next(self) -> Point | None:
        """The next to learn from, then what the first round lacks that lacks anything."""
        earlier = [record.number for record in self.told.history.records if record.earlier]
        # The largest network is one of them whatever was told before.
        lessons = self.slimming.lessons[: max(1, self.slimming.learn - len(earlier))]
        unknown = next((point for point in lessons if self.told.is_open(point)), None)
        before, last = -2, self._last(lessons, max(earlier, default=-1))
        while unknown is None and last > before:
            before, (unknown, last) = last, self._descended(self._rounds(last), last)
        return unknown

    def _rounds(self, last: int) -> Rounds:
        """By what became of all candidates up to that number, in their order."""
        known = [record for record in self.told.history.records if record.number <= last]
        return self.slimming.rounds(sorted(known, key=lambda record: record.number))

    def _descended(self, rounds: Rounds, last: int) -> tuple[Point | None, int]:
        """What a descent lacks, and the number of the last candidate that it led to."""
        here = self.slimming.largest
        while steps := rounds.below(here):
            unknown = next((p for p in steps if self.told.is_open(p) and p.is_possible), None)
            if unknown is not None:
                return unknown, last
            last = self._last(steps, last)
            here = self._best(rounds.importance, here, steps)
        return None, last

    def _best(self, importance: Importance, here: Point, steps: Sequence[Point]) -> Point:
        """The one to go on from; while none is told, what is least important."""
        aims = self.slimming.aims
        known = [point for point in steps if aims.kept(self.told.record(point)) is not None]
        quality, cost = self._quality(importance, here), self._cost(importance, here)

        def rank(point: Point) -> tuple[bool, float]:
            lost = quality - self._quality(importance, point)
            saved = cost - self._cost(importance, point)
            return (False, lost / saved) if saved > 0 else (True, -saved)

        return min(known, key=rank) if known else steps[0]

    def _quality(self, importance: Importance, point: Point) -> float:
        """As told, else as foretold."""
        told = self.slimming.aims.kept(self.told.record(point))
        return importance.quality(point.choices) if told is None else told

    def _cost(self, importance: Importance, point: Point) -> float:
        told = self.slimming.aims.spent(self.told.record(point))
        return importance.spent(point.choices) if told is None else told

    def _last(self, points: Sequence[Point], before: int) -> int:
        """The largest number of these candidates, or that of before."""
        found = [self.told.number(point) for point in points]
        return max([before, *(number for number in found if number is not None)])
