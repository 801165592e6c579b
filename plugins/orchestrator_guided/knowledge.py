"""All that a history says of candidates that were not tried: processes, conditioned on it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from orchestrator import Choices, Measured, Proposal, Record, SamplerContext
from orchestrator_guided.evidence import Evidence
from orchestrator_guided.improvement import Belief, Boxes, worthiest
from orchestrator_guided.memory import FEWEST, Memory, Static, step_of
from orchestrator_guided.pool import told_of
from orchestrator_guided.process import Observations, Process
from orchestrator_guided.start import Counted

__all__ = ["Knowledge"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

# Observations that a process is conditioned on; so many of the latest tell what is static.
_MOST_SEEN, _MOST_STATIC = 320, 400
# Learnt anew where there are so many times as many; what is static is told at each step, too.
_LEARN, _LEARN_STATIC, _TELL_STATIC = 1.12, 1.5, 1.06
# A loss this far above the usual ones says no more than "bad".
_OUTLIER = 4.5
_WORKS = "works"
_HARDLY = 0.02
# What two measurements of one file differ by, as a share; so many of the latest are believed.
_REPEATED, _MOST_MEASURED = 0.01, 100


class Knowledge:
    """What is known at one proposal."""

    def __init__(self, context: SamplerContext, evidence: Evidence, memory: Memory) -> None:
        self.context = context
        self.evidence = evidence
        self._memory = memory
        self._names = evidence.static
        self._codes = memory.coder.records(evidence.choices)
        self._questions = memory.coder.questions
        self._costs, self._failed = evidence.costs, evidence.failed
        self._raw, self._predicted = evidence.raw, evidence.predicted
        self._pooled: dict[int, Floats] = {}
        self._chosen: dict[bytes, Places] = {}
        self._corrected: dict[str, Process] = {}
        # Place of a loss → what was measured of a network: the loss as it is modelled, and how
        # surely its best file has that.
        self._measured: dict[int, dict[Hashable, tuple[float, float]]] = {}
        self._tell_static()
        self._trained = self._code_of_start()
        self._known_trends = self._trends(self._codes, self._logs(self._costs))
        self._features = self._first_features(len(self._codes))
        self._targets = {
            place: evidence.target(place, len(evidence))
            for place, loss in enumerate(evidence.losses)
            if loss.axis.name not in self._names
        }
        self._seen = [place for place in self._targets if self._tell(place)]
        if self._failed.any():
            self._tell_works()
        self._smoothed = self._front()

    # --- what is told to processes ------------------------------------------------------------

    def _tell_static(self) -> None:
        for place, name in enumerate(self._names):
            usable = np.flatnonzero(np.isfinite(self._costs[:, place]))
            static = self._memory.statics.setdefault(name, Static())
            step = step_of(len(usable), _TELL_STATIC)
            if step != static.told or static.questions != self._questions:
                self._tell_of(place, usable[:step], static)

    def _tell_of(self, place: int, usable: Places, static: Static) -> None:
        static.told, static.questions = len(usable), self._questions
        known = [values[self._names[place]] for _, values in self._memory.start.counted]
        static.logarithmic = min([*self._costs[usable, place], *known]) > 0
        process = self._memory.process(
            self._names[place],
            len(usable),
            _LEARN_STATIC,
            lambda count: self._static_told(place, usable[:count]),
        )
        told = self._static_told(place, usable)
        static.centre = told.codes.mean(0)
        process.see(told)

    def _static_told(self, place: int, rows: Places) -> Observations:
        """What is static follows the choices closely: a trend in each column of the codes.

        Records alone say little of what lies over a budget: what was drawn and counted for the
        start says more.
        """
        codes, values = self._counted(place, self._memory.start.counted)
        rows = rows[-(_MOST_STATIC - len(codes)) :]
        codes = np.concatenate([codes, self._codes[rows]])
        values = np.concatenate([values, self._log(place, self._costs[rows, place])])
        none = np.zeros(len(values))
        return Observations(codes, codes - codes.mean(0), values, none, self._questions)

    def _counted(self, place: int, entries: Sequence[Counted]) -> tuple[Floats, Floats]:
        """Codes, and one static objective as it is modelled."""
        codes = self._memory.coder.pool([choices for choices, _ in entries])
        values = np.array([values[self._names[place]] for _, values in entries], dtype=np.float64)
        return codes, self._log(place, values)

    def _log(self, place: int, costs: Floats) -> Floats:
        """Of one static objective, where it is modelled so."""
        logarithmic = self._memory.statics[self._names[place]].logarithmic
        return np.log(np.maximum(costs, 1e-12)) if logarithmic else costs

    def _tell(self, place: int) -> bool:
        """One loss; whether enough is known of it."""
        usable = self._usable(place)
        if len(usable) < FEWEST:
            return False
        process = self._memory.process(
            self.evidence.losses[place].axis.name,
            len(usable),
            _LEARN,
            lambda n: self._told(place, usable[:n], int(usable[n - 1]) + 1),
        )
        process.see(self._observed(self._worth(usable), self._features, self._targets[place]))
        return True

    def _usable(self, place: int) -> Places:
        values, _ = self._targets[place]
        fine = np.isfinite(values) & ~self._failed & np.isfinite(self._features).all(1)
        return np.flatnonzero(fine)

    def _told(self, place: int, rows: Places, count: int) -> Observations:
        """Rows of the first `count`, as they were known then."""
        features = self._first_features(count)
        return self._observed(rows, features, self.evidence.target(place, count))

    def _observed(
        self, rows: Places, features: Floats, target: tuple[Floats, Floats]
    ) -> Observations:
        """What is hopeless is only bad."""
        values, variances = target
        known = values[rows]
        if len(known) > 3:
            middle, upper = np.quantile(known, [0.5, 0.75])
            known = np.minimum(known, middle + _OUTLIER * max(upper - middle, 1e-6))
        return Observations(
            self._codes[rows], features[rows], known, variances[rows], self._questions
        )

    def _tell_works(self) -> None:
        def told(count: int) -> Observations:
            features = np.nan_to_num(self._first_features(count))
            rows = np.arange(count)[-_MOST_SEEN:]
            works = np.where(self._failed[rows], 0.0, 1.0)
            none = np.zeros(len(rows))
            return Observations(self._codes[rows], features[rows], works, none, self._questions)

        count = len(self.evidence)
        self._memory.process(_WORKS, count, _LEARN, told).see(told(count))

    def _worth(self, kept: Places) -> Places:
        """Those of a loss's usable ones that it is conditioned on; the same for the same."""
        told = kept.tobytes()
        if told not in self._chosen:
            self._chosen[told] = worthiest(kept, self._raw, self.evidence.axes, _MOST_SEEN)
        return self._chosen[told]

    # --- what the trend goes by ---------------------------------------------------------------

    def _features_of(self, codes: Floats, logs: Floats) -> Floats:
        """Static objectives, how much of the trained network is left where candidates inherit one,
        and, where some of what is known was foretold, that these are not.
        """
        standard = _standard(self._trends(codes, logs), self._known_trends)
        return _mixed(standard, self._predicted, np.zeros(len(logs)))

    def _first_features(self, count: int) -> Floats:
        """Of the first `count` records, as they were known then."""
        predicted = self._predicted[:count]
        trends = self._known_trends[:count]
        return _mixed(_standard(trends, trends), predicted, predicted)

    def _trends(self, codes: Floats, logs: Floats) -> Floats:
        """(n, static) or one more: in how many of its answers each differs from what was trained.

        What is inherited is worth the less the more was changed, which multiply-adds do not tell.
        """
        if self._trained is None:
            return logs
        code, asked = self._trained
        apart = ((codes - code)[:, asked] ** 2).sum(1)
        return np.column_stack([logs, apart])

    def _code_of_start(self) -> tuple[Floats, NDArray[np.bool_]] | None:
        """The trained network's code, and which of its columns are of its own answers."""
        start = self.context.start
        if start is None:
            return None
        asked = np.array([name in start for name in self._questions], dtype=bool)
        return self._memory.coder.pool([self.context.complete(start)])[0], asked

    def _logs(self, costs: Floats) -> Floats:
        found = costs.copy()
        for place in range(len(self._names)):
            found[:, place] = self._log(place, costs[:, place])
        return found

    # --- what is asked --------------------------------------------------------------------------

    def guessed(self, pool: Sequence[Choices]) -> Floats:
        """(n, static): what is static, modelled as it is for the pool."""
        codes = self._coded(pool)
        found = np.zeros((len(pool), len(self._names)))
        for place, name in enumerate(self._names):
            process = self._corrected.get(name, self._memory.processes[name])
            found[:, place] = process.expect(codes, codes - self._memory.statics[name].centre)
        return found

    def correct(self, entries: Sequence[Counted]) -> None:
        """What was counted makes this proposal's guesses better, and no later one's.

        Those follow from the records alone, as a resumed search has nothing else.
        """
        for place, name in enumerate(self._names):
            codes, values = self._counted(place, entries)
            centred, none = codes - self._memory.statics[name].centre, np.zeros(len(values))
            self._corrected[name] = copy(self._memory.processes[name])
            self._corrected[name].believe(
                Observations(codes, centred, values, none, self._questions)
            )

    def exact(self, values: Sequence[Mapping[str, float]]) -> Floats:
        """(n, static): what is static, counted."""
        known = [[value[name] for name in self._names] for value in values]
        return self._logs(np.array(known, dtype=np.float64).reshape(len(values), len(self._names)))

    def beliefs(
        self, pool: Sequence[Choices], logs: Floats, as_measured: float | None = None
    ) -> tuple[list[Belief], Floats]:
        """Of each axis; and the logarithm of the probability (n,) that it works within budgets.

        As if what is measurable had been measured, by so many standard deviations off what is
        expected, where `as_measured` says so.
        """
        codes = self._coded(pool)
        features = self._features_of(codes, logs)
        costs = self._values(logs)
        found: list[Belief] = []
        chances = self._works(codes, features)
        for place, loss in enumerate(self.evidence.losses):
            name = loss.axis.name
            if place in self._seen:
                mean, deviation = self._memory.processes[name].ask(codes, features)
                if name in self.context.measurable:
                    mean, deviation = self._sure(place, pool, (mean, deviation), as_measured)
                belief = Belief(mean, deviation, loss.logarithmic)
                if name in self.context.budgets:
                    chances += loss.within(self.context.budgets[name], mean, deviation)
                found.append(belief)
            elif name in self._memory.priors:
                mean, deviation = self._memory.priors[name].ask(codes)
                if name in self.context.budgets:
                    chances += loss.within(self.context.budgets[name], mean, deviation)
                found.append(Belief(mean, deviation, loss.logarithmic))
            elif name in self._names:
                values = costs[:, list(self._names).index(name)]
                found.append(Belief(np.array([loss.of(value) for value in values])))
        return found[: self.evidence.axes], chances + self._kept(costs)

    def _sure(
        self,
        place: int,
        pool: Sequence[Choices],
        believed: tuple[Floats, Floats],
        as_measured: float | None,
    ) -> tuple[Floats, Floats]:
        """What was measured, or would be, in place of what is believed."""
        mean, deviation = believed
        if as_measured is not None:
            own = self._memory.processes[self.evidence.losses[place].axis.name].own
            _, spread = self.evidence.beyond(place)
            mean = mean + as_measured * np.sqrt(deviation**2 + own**2)
            deviation = np.full(len(mean), max(spread, _REPEATED))
        if known := self._measured.get(place):
            for row, choices in enumerate(pool):
                if (found := known.get(told_of(choices))) is not None:
                    mean[row], deviation[row] = found
        return mean, deviation

    def _values(self, logs: Floats) -> Floats:
        found = logs.copy()
        for place, name in enumerate(self._names):
            if self._memory.statics[name].logarithmic:
                found[:, place] = np.exp(logs[:, place])
        return found

    def _kept(self, costs: Floats) -> Floats:
        """The logarithm of whether static budgets are kept: the nearer the better where not."""
        found = np.zeros(len(costs))
        for place, name in enumerate(self._names):
            budget = self.context.budgets.get(name)
            if budget is not None:
                over = np.array([budget.excess(value) for value in costs[:, place]])
                scale = np.abs(costs[:, place]).mean() + 1e-12
                found -= np.where(over > 0, 1e3 * (1 + over / scale), 0.0)
        return found

    def _works(self, codes: Floats, features: Floats) -> Floats:
        if not self._failed.any():
            return np.zeros(len(codes))
        share = self._memory.processes[_WORKS].expect(codes, features)
        found: Floats = np.log(np.clip(share, _HARDLY, 1.0))
        return found

    def _coded(self, pool: Sequence[Choices]) -> Floats:
        new = [choices for choices in pool if id(choices) not in self._pooled]
        for choices, code in zip(new, self._memory.coder.pool(new), strict=True):
            self._pooled[id(choices)] = code
        return np.array([self._pooled[id(choices)] for choices in pool]).reshape(
            len(pool), len(self._questions)
        )

    # --- the front ------------------------------------------------------------------------------

    def boxes(self) -> Boxes:
        """What the front, as it is believed to be, leaves to be gained."""
        worst = np.array([loss.worst for loss in self.evidence.losses[: self.evidence.axes]])
        return Boxes(self._smoothed, worst)

    def believe(self, pending: Sequence[Proposal], climbing: Mapping[int, Record]) -> None:
        """Take pending candidates to be what is expected of them (kriging believer).

        Of those that are on their way further it is known how far they came.
        """
        if not pending:
            return
        pool = [self.context.complete(proposal.choices) for proposal in pending]
        logs = self.guessed(pool)
        codes = self._coded(pool)
        features = self._features_of(codes, logs)
        for place in self._seen:
            process = self._memory.processes[self.evidence.losses[place].axis.name]
            values, variances = process.expect(codes, features), np.zeros(len(pool))
            for row, proposal in enumerate(pending):
                known = climbing.get(proposal.number)
                foreseen = self.evidence.foreseen(place, known) if known else None
                if foreseen is not None:
                    values[row], variances[row] = foreseen
            process.believe(Observations(codes, features, values, variances, self._questions))
        beliefs, chances = self.beliefs(pool, logs)
        told = [np.exp(belief.mean) if belief.logarithmic else belief.mean for belief in beliefs]
        self._smoothed = np.concatenate([self._smoothed, np.array(told).T[chances > np.log(0.5)]])

    def take(self, measured: Sequence[Measured]) -> None:
        """Condition on what shortlists were measured at.

        That is of a network's own file: of the one it counts with it is known as far as those of
        others differ alike.
        """
        latest = measured[-_MOST_MEASURED:]
        pool = [each.choices for each in latest]
        for place in self._seen:
            loss = self.evidence.losses[place]
            known = np.array([loss.known(each.values) for each in latest])
            rows = np.flatnonzero(np.isfinite(known))
            if loss.axis.name not in self.context.measurable or not len(rows):
                continue
            differ, spread = self.evidence.beyond(place)
            values = loss.modelled(known[rows]) + differ
            some = [pool[int(row)] for row in rows]
            codes, logs = self._coded(some), self.exact([latest[int(row)].values for row in rows])
            features, variances = self._features_of(codes, logs), np.full(len(rows), spread**2)
            told = Observations(codes, features, values, variances, self._questions)
            self._memory.processes[loss.axis.name].believe(told)
            sure = max(spread, _REPEATED)
            self._measured[place] = {
                told_of(chosen): (float(value), sure)
                for chosen, value in zip(some, values, strict=True)
            }

    def _front(self) -> Floats:
        """The front, what is dear moved by as much as the process doubts it: noise is no gain."""
        axes = self.evidence.axes
        points = self.evidence.points
        if not len(points):
            return points
        near = self.evidence.front
        front, owners = points[near], np.array(self.evidence.owners)[near]
        for place in self._seen:
            if place < axes:
                self._smooth(place, front[:, place], owners)
        return front

    def _smooth(self, place: int, column: Floats, owners: Places) -> None:
        """A file that lost something to compression keeps its distance from its network."""
        loss, features = self.evidence.losses[place], self._features[owners]
        observed = self._targets[place][0][owners]
        fine = np.isfinite(features).all(1) & np.isfinite(observed)
        if fine.any():
            process = self._memory.processes[loss.axis.name]
            expected = process.expect(self._codes[owners[fine]], features[fine])
            moved = loss.modelled(column[fine]) + expected - observed[fine]
            column[fine] = loss.told(moved)


def _mixed(standard: Floats, predicted: Floats, own: Floats) -> Floats:
    """With a column that says what was foretold, where some was and some was not."""
    if 0 < predicted.sum() < len(predicted):
        return np.column_stack([standard, own])
    return standard


def _standard(trends: Floats, known: Floats) -> Floats:
    """By the mean and the spread of what is known."""
    known = known[np.isfinite(known).all(1)]
    if not known.size:
        return trends
    spread = known.std(0)
    found: Floats = (trends - known.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    return found
