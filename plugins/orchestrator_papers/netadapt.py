"""NetAdapt: from the largest network down, each round by what loses least accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import pydantic

from orchestrator import Choices, History, Sampler, SamplerContext
from orchestrator.errors import PluginError
from orchestrator_papers.aims import Aims
from orchestrator_papers.ladders import Ladders
from orchestrator_papers.told import Point, Told, named, stranger

__all__ = ["NetAdaptSampler"]

Share = Annotated[float, pydantic.Field(gt=0, lt=1)]

# So many networks, each smaller as a whole, may be where a descent begins.
_STARTS = 16


class NetAdaptSampler(Sampler):
    """Yang et al. 2018 (arXiv 1804.03230), with the choice of Howard et al. 2019 (1905.02244).

    It begins with the largest network of the space that the budgets allow. Each round proposes one
    network for each choice, with that choice alone reduced until the cost has fallen by `step`, a
    share of what the round began with; the best goes into the next round. Choices that cannot save
    so much are left alone as long as any other can. `pick="ratio"` takes
    the least accuracy lost for a unit of cost saved, as MobileNetV3 was finished, `"accuracy"` the
    most accurate, as the paper does. `cost` names the objective to save: by default a latency where
    one is searched for, else a static one. Once nothing can be reduced, what keeps the budgets is
    drawn at random.

    What differs from the papers:

    - They fine-tune each proposal shortly from the network of the round before. A sampler cannot
      say what a candidate starts from: with an estimator that shares weights, or with `weights=…`,
      it inherits those; otherwise each is trained from noise, which costs far more.
    - They read a step's latency from a table of layers. A latency is measured only after it is
      proposed, so a step is sized by a static objective (multiply-adds, say) and the choice is by
      the latency measured. Without a static objective a step is one answer down.
    - They reduce the filters of a layer. Here any choice is reduced of which the cost falls.
    - A step is a share of the round's own network, so that a descent of few rounds gets far.
    - A budget decides where the descent begins, not where it ends.
    - While results of a round are out it goes on from the best that is known of it, so that no
      evaluator waits.
    """

    name = "netadapt"

    def __init__(
        self,
        *,
        step: Share = 0.1,
        pick: Literal["ratio", "accuracy"] = "ratio",
        cost: str | None = None,
    ) -> None:
        self.step = step
        self.pick = pick
        self.cost = cost
        self._descent: _Descent | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Its options; all else follows from the history."""
        return {**vars(self), "_descent": None}

    def check(self, context: SamplerContext) -> None:
        """Raises PluginError where no objective is to be kept, or none to be saved."""
        Aims.of(context, self.name, self.cost)

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        """The next network of the round; a draw at the end of the descent.

        Raises PluginError where no choice of the space makes a network cheaper.
        """
        basis = next((choices for _, choices in named(history)), {})
        if self._descent is None or not self._descent.is_of(context, basis):
            aims = Aims.of(context, self.name, self.cost)
            ladders = Ladders.of(context, aims.guide, basis or context.random(0))
            self._descent = _Descent(basis, aims, ladders, self.step)
        found = _Replay(self._descent, Told(history), self.pick).next()
        return stranger(history, context) if found is None else found.choices


@dataclass
class _Descent:
    """What of a search does not change: where it may begin, and what a network is reduced to."""

    basis: Choices
    aims: Aims
    ladders: Ladders
    step: float
    _steps: dict[str, Sequence[Point]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.ladders.rungs:
            raise PluginError(
                "sampler netadapt reduces one choice after the other, and no choice of this space "
                f"lowers {self.aims.guide or 'a number'}. Choose another sampler, or search for "
                "a static objective too, such as objective=[accuracy,macs]."
            )

    def is_of(self, context: SamplerContext, basis: Choices) -> bool:
        """Whether it is that search's."""
        return self.ladders.context is context and self.basis == basis

    @cached_property
    def starts(self) -> Sequence[Point]:
        """The largest network, then smaller ones in all their choices."""
        found = [self._point(self.ladders.shrunk(n / _STARTS)) for n in range(_STARTS + 1)]
        return [point for point in found if point.is_possible]

    def steps(self, here: Point) -> Sequence[Point]:
        """One network for each choice that saves enough; for each at all where none does."""
        if here.key not in self._steps:
            most = (1 - self.step) * self.ladders.cost(here.choices)
            lower = [self.ladders.below(here.choices, name, most) for name in self.ladders.rungs]
            found = [choices for choices in lower if choices is not None]
            enough = [choices for choices in found if self.ladders.cost(choices) <= most]
            points = [self._point(choices) for choices in enough or found]
            self._steps[here.key] = [point for point in points if point.is_possible]
        return self._steps[here.key]

    def _point(self, choices: Choices) -> Point:
        return Point(choices, self.ladders.context)


@dataclass(frozen=True)
class _Replay:
    """A descent as far as the history tells it."""

    descent: _Descent
    told: Told
    pick: str

    def next(self) -> Point | None:
        """What is not proposed yet, of the first round that lacks anything."""
        here = next((point for point in self.descent.starts if not self._is_lost(point)), None)
        while here is not None:
            steps = self.descent.steps(here)
            unknown = next((p for p in (here, *steps) if self.told.is_open(p)), None)
            if unknown is not None:
                return unknown
            here = self._best(here, steps)
        return None

    def _best(self, here: Point, steps: Sequence[Point]) -> Point | None:
        """The one to go on from; while none is told, the first that is still out."""
        known = [step for step in steps if self._quality(step) is not None]
        if known:
            return max(known, key=lambda step: self._rank(here, step))
        return next((step for step in steps if self.told.is_pending(step)), None)

    def _rank(self, here: Point, step: Point) -> tuple[bool, float]:
        """Whether it saves anything, then how little it loses."""
        quality, before = self._quality(step) or 0.0, self._quality(here)
        spent, spent_before = self._spent(step), self._spent(here)
        saved = None if spent is None or spent_before is None else spent_before - spent
        if self.pick == "accuracy" or before is None or saved is None:
            return True, quality
        return (True, (quality - before) / saved) if saved > 0 else (False, saved)

    def _quality(self, point: Point) -> float | None:
        return self.descent.aims.kept(self.told.record(point))

    def _spent(self, point: Point) -> float | None:
        return self.descent.aims.spent(self.told.record(point))

    def _is_lost(self, point: Point) -> bool:
        """Whether it was told, and nothing to go on from came of it."""
        known = not self.told.is_open(point) and not self.told.is_pending(point)
        return known and self._quality(point) is None
