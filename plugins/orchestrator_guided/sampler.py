"""Proposes what promises most hypervolume, with a process for what is dear and truth for the rest.

One training costs minutes, a count of multiply-adds milliseconds. So accuracy and whatever else is
known only after training is modelled by a Gaussian process over the choices with a trend in the
static objectives; static objectives are modelled only to rank a pool, and exact for those that
might be proposed. What is proposed has the largest expected hypervolume improvement, times the
probability that its budgets are kept and that it works at all.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, Earlier, History, Relatives, Sampler, SamplerContext
from orchestrator.errors import ConfigError
from orchestrator_guided.coding import Coder
from orchestrator_guided.evidence import Evidence
from orchestrator_guided.improvement import layer
from orchestrator_guided.knowledge import Knowledge
from orchestrator_guided.losses import losses_of
from orchestrator_guided.memory import Memory
from orchestrator_guided.pool import Breeder, told_of
from orchestrator_guided.prior import best_of, priors_of
from orchestrator_guided.start import Counted, Start

__all__ = ["GuidedSampler"]

Floats = NDArray[np.float64]

_STRANGERS, _RELATIVES = 30, 30
# Of relatives the nearest is taken whose cost lies at least this share of the farthest away.
_FAR = 0.5
_CHILDREN, _ROUNDS, _GRANDCHILDREN, _BEST = 110, 2, 45, 8
_EXACT, _MOST_COUNTED = 4, 24
_PARENTS = 8
# So often is looked for one that keeps the budgets on what is static.
_CORRECTIONS = 3
# Scores that differ by less are the same: what rounding makes of them depends on the process.
_DIGITS = 7
# A shortlist is measured where that is expected to gain this share of a training, and so many times
# what it costs.
_LEAST_GAIN, _OVER_COST = 0.05, 2.0
_MOST_MEASURED = 100
# Standard deviations off what is expected, and how likely each is (Gauss and Hermite's).
_APART = ((-2.857, 0.0113), (-1.356, 0.2221), (0.0, 0.5333), (1.356, 0.2221), (2.857, 0.0113))


class GuidedSampler(Sampler):
    """Gaussian processes and expected hypervolume improvement.

    The first `startup` networks are spread over what is cheap (multiply-adds, say), or at random
    where nothing is; where candidates inherit trained weights, they are smaller relatives of the
    network that was trained. What it proposes follows from the search's seed and the history alone.
    Costs some 10 to 50 ms a proposal of one core.

    Of `measured` networks latencies are measured before one of them is trained, where that is
    expected to spare more than it costs. By default of none: models of latency are good enough
    for it to gain nothing on most problems.
    """

    name = "guided"
    uses_earlier = "priors"

    def __init__(self, *, startup: int = 10, measured: int = 0) -> None:
        for name, found in (("startup", startup), ("measured", measured)):
            if found < 0:
                raise ConfigError(f"sampler.{name}: found {found}, expected 0 or more.")
        self.startup, self.measured = startup, measured
        self.shortlisted = measured
        self._known: _Known | None = None

    def __getstate__(self) -> dict[str, int]:
        """Its options; all else follows from the history."""
        return {"startup": self.startup, "measured": self.measured}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def shortlist(self, history: History, context: SamplerContext) -> Sequence[Choices]:
        """The best few, where it is worth a measurement to know which of them is the best."""
        known = self._read(history, context)
        if not self.measured or not context.measurable or known.begins(history):
            return []
        return self._turn(known, history).shortlist(self.measured)

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        """The candidate with the largest expected improvement; None where no new one is found."""
        known = self._read(history, context)
        if known.begins(history):
            return known.start.next(history, known.evidence, known.breeder(history))
        turn = self._turn(known, history)
        return turn.best() or known.start.allowed(history, turn.breeder)

    def _read(self, history: History, context: SamplerContext) -> _Known:
        """All that the history says."""
        if self._known is None or not self._known.is_of(history, context):
            self._known = _Known.of(context, self.startup, history.earlier)
        known = self._known
        known.evidence.read(history.records)
        known.memory.coder.records(known.evidence.choices)
        return known

    def _turn(self, known: _Known, history: History) -> _Turn:
        """The same for a shortlist and for a proposal that come of the same history."""
        climbing = [(number, len(record.curve)) for number, record in history.climbing.items()]
        pending = [proposal.number for proposal in history.pending]
        told = repr((len(history.records), pending, climbing, len(history.measured)))
        if known.turn is None or known.turn.told != told:
            knowledge = Knowledge(known.context, known.evidence, known.memory)
            knowledge.take(history.measured)
            knowledge.believe(history.pending, history.climbing)
            breeder = known.breeder(history)
            known.turn = _Turn(told, history, knowledge, breeder, known.relatives, known.seeds)
        return known.turn


@dataclass
class _Known:
    """What grows with one search."""

    context: SamplerContext
    evidence: Evidence
    memory: Memory
    start: Start
    relatives: Relatives
    # Answers of what was best in earlier searches.
    seeds: list[Choices]
    turn: _Turn | None = None

    @classmethod
    def of(cls, context: SamplerContext, startup: int, earlier: Sequence[Earlier]) -> _Known:
        """Of a search that begins, or goes on."""
        coder = Coder(context)
        static = next((tuple(v) for c in coder.drawn if (v := context.counted(c)) is not None), ())
        losses = losses_of(context.axes, context.budgets, static)
        evidence = Evidence(losses, len(context.axes), static)
        priors = priors_of(earlier, losses, len(context.axes), coder)
        evidence.read_earlier(earlier)
        coder.borrowed = len(evidence)
        relatives = Relatives(context)
        near = relatives.some(len(coder.drawn), random.Random(context.search_seed))
        far = _FAR if near else 1.0
        start = Start(context, near or coder.drawn, startup, far)
        seeds = best_of(earlier, losses, len(context.axes))
        return cls(context, evidence, Memory(coder, start, priors), start, relatives, seeds)

    @property
    def believes(self) -> bool:
        """Whether all that is dear is known from earlier searches, as far as it was there."""
        if not self.memory.priors:
            return False
        known = np.isfinite(self.evidence.raw[:, : self.evidence.axes]).sum(0) >= 2
        names = [axis.name for axis in self.context.axes]
        static, priors = set(self.evidence.static), self.memory.priors
        return all(n in static or n in priors or k for n, k in zip(names, known, strict=True))

    def begins(self, history: History) -> bool:
        """Whether too little is known for models."""
        evidence = self.evidence
        if self.believes:
            return False
        paid = evidence.tried + len(history.pending)
        told = np.isfinite(evidence.raw[:, : evidence.axes]).all(1) & ~evidence.failed
        return paid < self.start.wanted or told.sum() < 2

    def breeder(self, history: History) -> Breeder:
        """The same one for the same history."""
        counts = (self.context.search_seed, len(history.records), len(history.pending))
        return Breeder(self.context, random.Random(repr(counts)), self.memory.coder.told)

    def is_of(self, history: History, context: SamplerContext) -> bool:
        """Whether that search is the same, some records further."""
        return self.context is context and self.evidence.leads_to(history.records)


@dataclass
class _Turn:
    """One proposal; `told` says of which history."""

    told: str
    history: History
    knowledge: Knowledge
    breeder: Breeder
    relatives: Relatives
    seeds: Sequence[Choices] = ()

    def __post_init__(self) -> None:
        self.context = self.knowledge.context
        self._boxes = self.knowledge.boxes()
        self._met: set[Hashable] = set()
        self._counted: list[Counted] = []

    def best(self) -> Choices | None:
        """Of the last few, of which what is static is known exactly."""
        if not self._last:
            return None
        chosen, logs = self._chosen
        return chosen[int(_falling(self._scores(chosen, logs))[0])]

    def shortlist(self, most: int) -> list[Choices]:
        """Those of the last few that were not measured, if the choice may depend on it.

        What is gained is by how much the best of them is expected to be better than the one that
        seems the best now, as a share of what that promises.
        """
        known = {told_of(each.choices) for each in self.history.measured}
        open_ones = [choices for choices, _ in self._last if told_of(choices) not in known]
        if not open_ones or len(self._last) < 2:
            return []
        scores = np.array([self._scores(*self._chosen, as_measured=apart) for apart, _ in _APART])
        worth = np.exp(scores - scores.max())
        gain = _expected_best(worth, [share for _, share in _APART])
        wanted = open_ones[:most]
        cost = len(wanted) * self.context.measuring
        return wanted if gain > max(_LEAST_GAIN, _OVER_COST * cost) else []

    @property
    def _chosen(self) -> tuple[list[Choices], Floats]:
        """The last few, with what is static."""
        chosen = [choices for choices, _ in self._last]
        return chosen, self.knowledge.exact([values for _, values in self._last])

    @cached_property
    def _last(self) -> list[Counted]:
        """The best few of those bred, and what was measured before and not proposed."""
        exact = self._bred
        bred = {told_of(choices) for choices, _ in exact}
        before = [
            (each.choices, values)
            for each in self.history.measured[-_MOST_MEASURED:]
            if told_of(each.choices) not in bred and not self.history.knows(each.genotype)
            if (values := self.context.counted(each.choices)) is not None
        ]
        return [*exact, *before]

    @property
    def _bred(self) -> list[Counted]:
        """Breed, rank, breed of the best, and count exactly only for the last few."""
        pool = self.breeder.children(self._parents(), _CHILDREN)
        pool += self.breeder.strangers(_STRANGERS)
        rng = random.Random(f"{self.context.search_seed} {self.told}")
        pool += self.breeder.new([*self.relatives.some(_RELATIVES, rng), *self.seeds])
        scores = self._guess(pool)
        for _ in range(_ROUNDS):
            leading = [pool[int(i)] for i in _falling(scores)[:_BEST]]
            children = self.breeder.children(leading, _GRANDCHILDREN)
            pool, scores = [*pool, *children], np.concatenate([scores, self._guess(children)])
        for _ in range(_CORRECTIONS):
            ranked = [pool[int(i)] for i in _falling(scores)]
            exact = list(islice(self._kept(ranked[:_MOST_COUNTED]), _EXACT))
            if exact:
                return exact
            # What was guessed to keep the budgets and does not says where the guesses are wrong.
            self.knowledge.correct(self._counted)
            pool = [choices for choices in pool if told_of(choices) not in self._met]
            scores = self._guess(pool)
        return []

    def _kept(self, ranked: Sequence[Choices]) -> Iterator[Counted]:
        """Those that are new, exist and keep the budgets on what is static, and exact values."""
        for choices in ranked:
            self._met.add(told_of(choices))
            if self.history.knows(self.context.draw(choices)):
                continue
            values = self.context.counted(choices)
            if values is None:
                continue
            if self.context.violations(values):
                self._counted.append((choices, values))
            else:
                yield choices, values

    def _guess(self, pool: Sequence[Choices]) -> Floats:
        if not pool:
            return np.zeros(0)
        return self._scores(pool, self.knowledge.guessed(pool))

    def _scores(
        self, pool: Sequence[Choices], logs: Floats, as_measured: float | None = None
    ) -> Floats:
        """The logarithm of the expected improvement within budgets (n,)."""
        beliefs, chances = self.knowledge.beliefs(pool, logs, as_measured)
        improvement = np.maximum(self._boxes.expected(beliefs), 1e-300)
        found: Floats = np.round(np.log(improvement) + chances, _DIGITS)
        return found

    def _parents(self) -> list[Choices]:
        """The front, with the layers behind it where it is small; else what broke budgets least."""
        evidence = self.knowledge.evidence
        points = evidence.points
        left, parents = np.arange(len(points)), dict[int, None]()
        while len(left) and len(parents) < _PARENTS:
            best = layer(points[left]) if parents else evidence.front
            parents |= dict.fromkeys(evidence.owners[int(i)] for i in left[best])
            left = np.delete(left, best)
        chosen = list(parents) or evidence.nearest(self.context.budgets)[:_PARENTS]
        found = [evidence.choices[place] for place in chosen]
        # What was best elsewhere is bred from as long as little is known here.
        found += self.seeds if len(evidence.front) < _PARENTS else ()
        return [self.context.complete(choices) for choices in found]


def _expected_best(worth: Floats, shares: Sequence[float]) -> float:
    """By how much the best of some is expected to be better than the best on average, as a share.

    `worth` (cases, n) is what each comes to in each case, which are as likely as `shares` say and
    independent of one candidate to another.
    """
    likely = np.array(shares)
    levels, last, found = np.unique(worth), 0.0, 0.0
    for level in levels:
        below = float(np.prod(likely @ (worth <= level)))
        found, last = found + level * (below - last), below
    return found / max(float((likely @ worth).max()), 1e-300) - 1


def _falling(scores: Floats) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")
