"""Proposes what promises most hypervolume, with a process for what is dear and truth for the rest.

One training costs minutes, a count of multiply-adds milliseconds. So accuracy and whatever else is
known only after training is modelled by a Gaussian process over the choices with a trend in the
static objectives; static objectives are modelled only to rank a pool, and exact for those that
might be proposed. What is proposed has the largest expected hypervolume improvement, times the
probability that its budgets are kept and that it works at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from orchestrator import Choices, History, Sampler, SamplerContext
from orchestrator.errors import CandidateError
from orchestrator_guided.evidence import Coder, Evidence, read
from orchestrator_guided.improvement import Belief, Boxes
from orchestrator_guided.losses import Loss
from orchestrator_guided.pool import Breeder
from orchestrator_guided.process import Observations, Process

__all__ = ["GuidedSampler"]

Floats = NDArray[np.float64]

_DRAWN_AT_FIRST = 80
_STRANGERS = 30
_CHILDREN, _ROUNDS, _GRANDCHILDREN, _BEST = 110, 2, 45, 8
_EXACT, _MOST_COUNTED = 4, 24
# Observations a process is conditioned on; so many of the latest tell what is static.
_MOST_SEEN, _MOST_STATIC = 320, 400
_LEARN_ANEW, _LEARN_STATIC_ANEW = 1.12, 1.5
# Kernel width, and weight of the common share, of what is known to fail.
_FAILURE_RATE, _FAILURE_PRIOR = 3.0, 0.1
# A loss this far above the usual ones says no more than "bad".
_OUTLIER = 4.5


@dataclass
class _Model:
    """A process, and how many observations its hyper-parameters were learnt from."""

    process: Process = field(default_factory=Process)
    learnt: int = 0

    def tell(self, told: Observations, rng: np.random.Generator, growth: float) -> None:
        if len(told) >= max(self.learnt + 1, growth * self.learnt):
            self.process.learn(told, rng)
            self.learnt = len(told)
        self.process.see(told)


class GuidedSampler(Sampler):
    """Gaussian processes and expected hypervolume improvement.

    The first `startup` networks are spread over what is cheap (multiply-adds, say), or at random
    where nothing is. Costs some 10 to 50 ms a proposal of one core.
    """

    name = "guided"

    def __init__(self, *, startup: int = 10) -> None:
        self.startup = startup
        self._models: dict[str, _Model] = {}
        self._coder: Coder | None = None
        self._static_names: tuple[str, ...] | None = None

    def propose(self, history: History, context: SamplerContext) -> Choices | None:
        """The candidate with the largest expected improvement; None where no new one is found."""
        self._begin(context)
        losses = [Loss(axis) for axis in context.axes]
        evidence = read(history.records, losses, self._names)
        seed = (context.seed, len(history.records), len(history.pending))
        rng = np.random.default_rng([part % 2**32 for part in seed])
        breeder = Breeder(history, context, rng)
        known = np.isfinite(evidence.losses).all(1).sum()
        if known + len(history.pending) < self.startup or known < 2:
            return self._spread(breeder, context, evidence, len(history.pending))
        turn = _Turn(self, history, context, evidence, losses, rng)
        return turn.best(breeder)

    @property
    def _names(self) -> tuple[str, ...]:
        assert self._static_names is not None
        return self._static_names

    def _begin(self, context: SamplerContext) -> None:
        """Learn what is static; a process of one context is no use in another."""
        if self._coder is not None and self._coder.context is context:
            return
        self._coder, self._models, self._static_names = Coder(context), {}, ()
        for _ in range(self.startup):
            try:
                self._static_names = tuple(context.static(context.random()))
                return
            except CandidateError:
                continue

    def model(self, name: str) -> _Model:
        """The process of that name, kept for its hyper-parameters alone."""
        return self._models.setdefault(name, _Model())

    @property
    def coder(self) -> Coder:
        """What codes choices."""
        assert self._coder is not None
        return self._coder

    def _spread(
        self, breeder: Breeder, context: SamplerContext, evidence: Evidence, pending: int
    ) -> Choices | None:
        """A draw whose static costs lie where no earlier one's do."""
        drawn = breeder.strangers(_DRAWN_AT_FIRST if self._names else _STRANGERS)
        if not self._names:
            return drawn[0] if drawn else None
        kept = [(c, v) for c in drawn if (v := _costs(context, c)) is not None]
        allowed = [(c, v) for c, v in kept if not context.violations(v)] or kept
        if not allowed:
            return None
        costs = _scaled(np.array([[v[n] for n in self._names] for _, v in allowed]))
        before = [v for v in evidence.values if all(n in v for n in self._names)]
        told = np.array([[v[n] for n in self._names] for v in before])
        if not len(told):
            return allowed[int(np.argsort(costs[:, 0])[len(costs) // 2])][0]
        both = _scaled(np.concatenate([told, [[v[n] for n in self._names] for _, v in allowed]]))
        old, new = both[: len(told), :1], both[len(told) :, :1]
        return allowed[int(np.abs(new - old.T).min(1).argmax())][0]


@dataclass
class _Turn:
    """One proposal."""

    sampler: GuidedSampler
    history: History
    context: SamplerContext
    evidence: Evidence
    losses: Sequence[Loss]
    rng: np.random.Generator

    def best(self, breeder: Breeder) -> Choices | None:
        """Breed, rank, breed of the best, and count exactly only for the last few."""
        self._condition()
        parents = self._parents()
        pool = breeder.children(parents, _CHILDREN) + breeder.strangers(_STRANGERS)
        for _ in range(_ROUNDS):
            if not pool:
                return None
            best = np.argsort(-self._scores(pool), kind="stable")[:_BEST]
            leading = [pool[int(i)] for i in best]
            pool += breeder.children(leading, _GRANDCHILDREN)
        order = np.argsort(-self._scores(pool), kind="stable")
        ranked: list[Choices] = [pool[int(i)] for i in order]
        exact = list(islice(self._counted(ranked[:_MOST_COUNTED]), _EXACT))
        if not exact:
            return ranked[0]
        scores = self._scores([c for c, _ in exact], [v for _, v in exact])
        return exact[int(scores.argmax())][0]

    def _counted(self, ranked: Sequence[Choices]) -> Iterator[tuple[Choices, dict[str, float]]]:
        """Those that exist and keep the budgets on what is static, with the exact values."""
        for choices in ranked:
            values = _costs(self.context, choices)
            if values is not None and not self.context.violations(values):
                yield choices, values

    def _condition(self) -> None:
        """Processes of what is static, of what is dear, and the boxes below the front."""
        evidence = self.evidence
        self._codes = self.sampler.coder.records(evidence.choices, evidence.numbers)
        self._pooled: dict[int, Floats] = {}
        self._questions = self.sampler.coder.questions
        self._places = {number: place for place, number in enumerate(evidence.numbers)}
        self._statics = _logs(evidence.static)
        self._features = self._standardised(self._statics)
        for place, name in enumerate(self.sampler._names):
            self._tell(name, self._statics[:, place], self._codes, static=True)
        self._modelled = [loss for loss in self.losses if loss.axis.name not in self.sampler._names]
        targets = {loss.axis.name: self._target(place) for place, loss in enumerate(self.losses)}
        for loss in self._modelled:
            self._tell(loss.axis.name, targets[loss.axis.name], self._features)
        points = [*self._smoothed(), *self._believed()]
        worst = np.array([loss.worst for loss in self.losses])
        self._boxes = Boxes(np.array(points).reshape(-1, len(worst)), worst)

    def _target(self, place: int) -> Floats:
        """Modelled losses (n,), NaN where unknown; what is hopeless is only bad."""
        loss = self.losses[place]
        values = loss.modelled(self.evidence.losses[:, place])
        known = values[np.isfinite(values) & ~self.evidence.failed]
        if len(known) > 3:
            middle, upper = np.quantile(known, [0.5, 0.75])
            values = np.minimum(values, middle + _OUTLIER * max(upper - middle, 1e-6))
        return values

    def _tell(self, name: str, values: Floats, features: Floats, *, static: bool = False) -> None:
        kept = np.flatnonzero(np.isfinite(values) & ~self.evidence.failed)
        kept = kept[np.isfinite(features[kept]).all(1)]
        kept = kept[-_MOST_STATIC:] if static else self._worth(kept)
        codes = self._codes[kept]
        # What is static follows the choices closely: a trend in each column of the codes.
        trend = codes - self._codes.mean(0) if static else features[kept]
        told = Observations(codes, trend, values[kept], self._questions)
        growth = _LEARN_STATIC_ANEW if static else _LEARN_ANEW
        self.sampler.model(name).tell(told, self.rng, growth)

    def _worth(self, kept: NDArray[np.int64]) -> NDArray[np.int64]:
        """At most 320: two thirds near the front, some of the latest, the rest at random."""
        if len(kept) <= _MOST_SEEN:
            return kept
        near: list[int] = []
        left = kept[np.isfinite(self.evidence.losses[kept]).all(1)]
        while len(left) and len(near) < 2 * _MOST_SEEN // 3:
            layer = _layer(self.evidence.losses[left])
            near += list(left[layer])
            left = np.delete(left, layer)
        chosen = [*near[: 2 * _MOST_SEEN // 3], *kept[-_MOST_SEEN // 12 :]]
        rest = np.setdiff1d(kept, chosen)
        some = self.rng.permutation(rest)[: max(0, _MOST_SEEN - len(set(chosen)))]
        return np.unique([*chosen, *some])

    def _standardised(self, logs: Floats) -> Floats:
        """Static objectives as the trend sees them; the spread is that of what is known."""
        if not logs.size:
            self._middle, self._spread = np.zeros(logs.shape[1]), np.ones(logs.shape[1])
            return logs
        self._middle = np.nanmean(logs, axis=0)
        spread = np.nanstd(logs, axis=0)
        self._spread = np.where(spread > 1e-9, spread, 1.0)
        found: Floats = (logs - self._middle) / self._spread
        return found

    def _smoothed(self) -> Floats:
        """The front, what is dear replaced by what the process makes of it: noise is not gain."""
        front = self.evidence.front.copy()
        if not len(front):
            return front
        near = _layer(front)
        codes = self._codes[[self._places[self.evidence.members[i]] for i in near]]
        features = self._features_of(codes)
        for place, loss in enumerate(self.losses):
            if loss in self._modelled and loss.axis.direction == "maximize":
                mean, _ = self.sampler.model(loss.axis.name).process.ask(codes, features)
                # A file that lost something to compression keeps that distance.
                front[near, place] = np.maximum(loss.told(mean), 0.0)
        return front[near]

    def _believed(self) -> Floats:
        """What pending candidates are expected to come to (kriging believer)."""
        pending = [proposal.choices for proposal in self.history.pending]
        if not pending:
            return np.zeros((0, len(self.losses)))
        beliefs = self._beliefs(pending, None)
        told = [np.exp(belief.mean) if belief.logarithmic else belief.mean for belief in beliefs]
        return np.array(told).T

    def _parents(self) -> list[Choices]:
        """The front, with the layers behind it where it is small."""
        points, members = self.evidence.front, self.evidence.members
        by_number = dict(zip(self.evidence.numbers, self.evidence.choices, strict=True))
        left, parents = np.arange(len(points)), list[Choices]()
        while len(left) and len(parents) < 8:
            layer = _layer(points[left])
            parents += [self.context.complete(by_number[members[i]]) for i in left[layer]]
            left = np.delete(left, layer)
        return parents or [self.context.complete(c) for c in self.evidence.choices]

    def _features_of(self, codes: Floats) -> Floats:
        """Static objectives of candidates that were not counted, as the trend sees them."""
        logs = [self._static_log(name, codes) for name in self.sampler._names]
        found = np.array(logs).reshape(len(logs), len(codes)).T
        standard: Floats = (found - self._middle) / self._spread
        return standard

    def _coded(self, pool: Sequence[Choices]) -> Floats:
        """Codes by the questions of what is known; of others nothing can be said."""
        new = [choices for choices in pool if id(choices) not in self._pooled]
        columns = len(self._questions)
        for choices, code in zip(new, self.sampler.coder.pool(new), strict=True):
            self._pooled[id(choices)] = code[:columns]
        return np.array([self._pooled[id(choices)] for choices in pool]).reshape(-1, columns)

    def _static_log(self, name: str, codes: Floats) -> Floats:
        model = self.sampler.model(name).process
        return model.ask(codes, codes - self._codes.mean(0))[0]

    def _beliefs(
        self, pool: Sequence[Choices], exact: Sequence[dict[str, float]] | None
    ) -> list[Belief]:
        """Of each loss in the order of axes."""
        codes = self._coded(pool)
        if exact is None:
            logs = np.array([self._static_log(n, codes) for n in self.sampler._names])
        else:
            logs = _logs(np.array([[v[n] for v in exact] for n in self.sampler._names]))
        logs = logs.reshape(len(self.sampler._names), len(codes)).T
        features = (logs - self._middle) / self._spread
        found = []
        self._limits = np.ones(len(pool))
        for loss in self.losses:
            name = loss.axis.name
            if loss in self._modelled:
                mean, deviation = self.sampler.model(name).process.ask(codes, features)
                found.append(Belief(mean, deviation, loss.logarithmic))
                self._limits *= self._within(loss, mean, deviation)
            else:
                values = np.exp(logs[:, self.sampler._names.index(name)])
                found.append(Belief(np.array([loss.of(value) for value in values])))
        for name, budget in self.context.budgets.items():
            if name in self.sampler._names:
                values = np.exp(logs[:, self.sampler._names.index(name)])
                self._limits *= np.array([budget.excess(v) <= 0 for v in values], dtype=float)
        self._limits *= self._works(codes)
        return found

    def _within(self, loss: Loss, mean: Floats, deviation: Floats) -> Floats:
        """The probability that a budget on what is dear is kept."""
        budget = self.context.budgets.get(loss.axis.name)
        if budget is None:
            return np.ones(len(mean))
        kept = np.ones(len(mean))
        for limit, upper in ((budget.max, True), (budget.min, False)):
            if limit is not None:
                bound = loss.modelled(np.array([loss.of(limit)]))[0]
                # A loss below its bound keeps a maximum of what is minimised, and a minimum of
                # what is maximised.
                good = (loss.axis.direction == "minimize") == upper
                share = ndtr((bound - mean) / deviation)
                kept *= share if good else 1 - share
        return kept

    def _works(self, codes: Floats) -> Floats:
        """The probability that a candidate does not fail, by those that are like it."""
        failed = self.evidence.failed
        if not failed.any():
            return np.ones(len(codes))
        apart = (
            (codes**2).sum(1)[:, None] + (self._codes**2).sum(1)[None] - 2 * codes @ self._codes.T
        )
        near = np.exp(-_FAILURE_RATE * np.maximum(apart, 0.0))
        share = 1 - failed.mean()
        found: Floats = (near @ ~failed + _FAILURE_PRIOR * share) / (near.sum(1) + _FAILURE_PRIOR)
        return found

    def _scores(
        self, pool: Sequence[Choices], exact: Sequence[dict[str, float]] | None = None
    ) -> Floats:
        beliefs = self._beliefs(pool, exact)
        limits = self._limits
        return self._boxes.expected(beliefs) * limits


def _costs(context: SamplerContext, choices: Choices) -> dict[str, float] | None:
    """Exact static objectives; None where there is no such network."""
    try:
        return dict(context.static(choices))
    except CandidateError:
        return None


def _logs(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(np.maximum(values, 1e-12))
    return found


def _scaled(costs: Floats) -> Floats:
    logs = _logs(costs)
    width = np.ptp(logs, axis=0)
    found: Floats = (logs - logs.min(0)) / np.where(width > 0, width, 1.0)
    return found


def _layer(points: Floats) -> NDArray[np.int64]:
    """Where the non-dominated points are."""
    order = np.argsort(points.sum(1), kind="stable")
    kept: list[int] = []
    for index in order:
        if not kept or not (points[kept] <= points[index]).all(1).any():
            kept.append(int(index))
    return np.array(sorted(kept), dtype=np.int64)
