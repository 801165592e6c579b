"""Asks the sampler for candidates and tells what became of them."""

from __future__ import annotations

import math
import warnings
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial, Trial, TrialState, create_trial

from orchestrator.analysis.pareto import dominates
from orchestrator.contracts.sampler import (
    Earlier,
    Ground,
    History,
    Measured,
    Proposal,
    SamplerContext,
)
from orchestrator.errors import ConfigError
from orchestrator.records import Choices, Genotype, Record
from orchestrator.search.journal import (
    OneWriter,
    families,
    open_search,
    read_records,
    read_result,
    variants_of,
)
from orchestrator.search.samplers import adapted, chance, proposed, shortlisted
from orchestrator.search.shortlists import Shortlists

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["Proposer", "read_records"]

# So many proposals in a row that are known already mean that the space is used up.
_REPEATS = 300
# So many of a sampler's own that are known already, and chance takes a turn.
_GUIDED = 20
# What marks a trial that samplers do not see, as another of the same training is better.
_OUTDONE = "outdone"
# Answers by question, and what could have been answered.
_Drawn = tuple[dict[str, Any], dict[str, BaseDistribution]]
# What a candidate's network is, where that is not its genotype's key (see `Ground.same`).
_SAME = "same"


class Proposer:
    """Ask and tell around one Optuna study whose journal is the search's only truth.

    What a sampler proposes is queued there like a named point, so that a resumed search finds it.
    A genotype is never proposed twice, nor is another of the same network: a repeat is answered
    from what is known. What one training
    gives beside its own candidate is there as finished trials. What was running when a search died
    is proposed again first. `sampler` makes, for a seed, a `Sampler` or one of
    Optuna's.
    """

    def __init__(
        self,
        journal: Path,
        ground: Ground,
        sampler: Callable[[int], Any],
        *,
        seed: int = 0,
        earlier: Sequence[Earlier] = (),
    ) -> None:
        self.ground = ground
        self._earlier = earlier
        self._study = open_search(journal, ground.axes)
        assert isinstance(self._study._storage, OneWriter)
        self._storage = self._study._storage
        trials = self._storage.every_trial(self._study._study_id)
        self._storage.hidden |= {t.number for t in trials if t.user_attrs.get(_OUTDONE)}
        # Another seed after a resume: the same one would draw the very same candidates again.
        search_seed, seed = seed, (seed + 7919 * len(trials)) % 2**32
        self._sampler = adapted(sampler(seed))
        self._own = self._study.sampler = chance(self._sampler, seed)
        self._luck = RandomSampler(seed=seed ^ 1)  # by the same it would draw what is known
        self._context = SamplerContext(ground, seed, search_seed)
        self._sampler.check(self._context)
        self._open_trials: dict[int, Trial] = {}
        self._known: dict[str, FrozenTrial | None] = {}
        # What a network is → the key that was proposed first; another key of the same → that one.
        self._first: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        self.records: dict[int, Record] = {}
        self.paid = 0
        # Proposals of which the outcome is known; each may have come with records of variants.
        self.answered = 0
        self._told: list[Record] = []
        self._pending: dict[int, Proposal] = {}
        # Number → Optuna's own, by which a trial is found at once.
        self._ids = {trial.number: trial._trial_id for trial in trials}
        self._lost: list[Proposal] = []
        # The last record of each candidate that was on its way to the next rung, by number.
        self.climbing: dict[int, Record] = {}
        self._adopt(trials)
        self._shortlists = Shortlists(self._study, self._storage)
        self._tell_found(self._shortlists.over)

    def suggest_first(self, choices: Mapping[str, Any], origin: str) -> None:
        """Queue a point of the space by its choices; what they leave open the sampler fills in."""
        self._queue(choices, {"origin": origin}, skip_if_exists=True)

    def take_over(self, records: Sequence[Record]) -> list[Record]:
        """Let what an earlier run evaluated count as known; those that are new here.

        Each gets a number of this search. What is known is left out, so that it may be repeated
        after a kill. Raises ConfigError where the space asks something else by now.
        """
        with self.together():
            return [told for family in families(records) for told in self._taken_over(family)]

    def _taken_over(self, record: Record) -> list[Record]:
        """One training with its variants, where they are new."""
        known = self._known.get(record.genotype.key)
        told: list[Record] = []
        if known is not None:
            trained = self.records[known.number]
        elif record.genotype.key in self._known or (added := self._add_finished(record)) is None:
            return []
        else:
            told, trained = [added], added
        if trained.earlier:
            whole = replace(trained, variants=record.variants)
            new = [v for v in record.variants if v.genotype.key not in self._known]
            for variant in new:
                told.append(self._add(variant, whole))
                self._learn(told[-1])
        return told

    def _add_finished(self, record: Record) -> Record | None:
        """A finished trial with the answers it was drawn with; None where its network is known."""
        drawn = FixedTrial(dict(record.choices))
        try:
            genotype = self.ground.draw(drawn)
            if genotype.key != record.genotype.key:
                raise ValueError("its answers make another network by now")
        except ValueError as error:
            raise ConfigError(
                f"sampler.history: candidate {record.id} of {record.earlier} cannot be drawn from "
                f"the space: {error}. Leave that run out."
            ) from error
        same = self.ground.same(genotype)
        if (first := self._first.setdefault(same, genotype.key)) != genotype.key:
            self._aliases[genotype.key] = first
            return None
        more = {} if same == genotype.key else {_SAME: same, "genotype": genotype.to_json()}
        number = self._storage.next_number(self._study._study_id)
        own = replace(record, number=number, variants=())
        self._create(own, (drawn.params, drawn.distributions), more)
        self._learn(own)
        return own

    def _create(self, record: Record, drawn: _Drawn, attributes: Mapping[str, Any]) -> None:
        """A trial that is finished as soon as it is there."""
        complete = self._state(record) == TrialState.COMPLETE
        frozen = create_trial(
            state=self._state(record),
            values=self._values(record) if complete else None,
            params=drawn[0],
            distributions=drawn[1],
            user_attrs={"record": record.to_json(), **attributes},
            constraints=self._constraints(record),
        )
        study = self._study._study_id
        self._ids[record.number] = self._storage.create_new_trial(study, template_trial=frozen)

    def recover(self, results: Path) -> None:
        """Tell what workers finished and a killed driver never heard (their `results` files)."""
        for proposal in list(self._lost):
            record = read_result(results / f"{proposal.number:04d}.json")
            # Another genotype: the journal was put back to an older copy since.
            if record is not None and record.genotype.key == proposal.genotype.key:
                self.tell(record)
                self._lost.remove(proposal)

    def propose(self) -> Proposal | None:
        """The next candidate; None when the space is used up.

        Raises PluginError for a sampler that raises or gives an impossible answer.
        """
        if self._lost:
            return self._lost.pop(0)
        try:
            return self._new()
        finally:
            self._study.sampler = self._own

    def _new(self) -> Proposal | None:
        """One that nobody knows; after so many that are known chance takes a turn."""
        for turn in range(_REPEATS):
            if turn < _GUIDED:
                self._ask_sampler()
            elif turn == _GUIDED:
                self._study.sampler = self._luck
            trial = self._study.ask()
            genotype = self.ground.draw(trial)
            known = self._repeated(trial, genotype)
            if known is not None:
                self._repeat(trial, self._known[known])
                continue
            return self._issue(trial, genotype)
        return None

    def shortlist(self) -> list[Measured]:
        """What the sampler wants measured before its next proposal, without values yet.

        Raises PluginError like `propose`.
        """
        due = self.ground.measurable and self._shortlists.due
        if not due or self._lost or self._waits:
            return []
        history, known = self.history, self._shortlists
        chosen = shortlisted(self._sampler, history, self._context)
        wanted = {self.ground.same(each.genotype): each for each in chosen}
        new = [m for same, m in wanted.items() if same not in self._first and not known.has(m)]
        return [each for each in new if not history.knows(each.genotype)]

    def measured(self, found: Sequence[Record]) -> list[Record]:
        """Write down a shortlist: one that broke a budget or failed is a candidate, and told.

        Those that keep their budgets come as stopped ones. Nothing at all is found where the
        process died. Returns the candidates.
        """
        return self._tell_found(self._shortlists.keep(found))

    def tell(self, record: Record) -> list[Record]:
        """Write an outcome; its variants become candidates of their own, told with it.

        Returns them all under their numbers. When it returns they are on disk; telling it again
        does nothing.
        """
        if record.number in self.records:
            return []
        trial = self._trial(record.number)
        # First the record, then the state: a crash between them is mended by `_adopt`.
        trial.set_user_attr("record", record.to_json())
        return self._tell_all(trial, record, known=())

    def climb(self, record: Record) -> None:
        """Write what is known of a candidate that goes on; a resumed search goes on from there."""
        self._trial(record.number).set_user_attr("rung", record.to_json())
        self.climbing[record.number] = record

    def together(self) -> AbstractContextManager[None]:
        """What is told in here is on disk at the end of it rather than after each."""
        return self._storage.together()

    @property
    def history(self) -> History:
        """All that is known, for a sampler; it grows with the search."""
        pending = [self._pending[number] for number in sorted(self._pending)]
        known = ChainMap[str, Any](self._aliases, self._known)
        measured = self._shortlists.measured
        return History(self._told, pending, known, self.climbing, self._earlier, measured)

    def _ask_sampler(self) -> None:
        """Queue what the sampler proposes, unless something waits already."""
        if not self._waits:
            choices = proposed(self._sampler, self.history, self._context)
            if choices is not None:
                self._queue(choices, {})

    @property
    def _waits(self) -> bool:
        """Whether something is queued."""
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def _tell_found(self, over: Sequence[Record]) -> list[Record]:
        """A trial for each network of a shortlist that has none yet."""
        new = [record for record in over if record.genotype.key not in self._known]
        return [told for record in new if (told := self._add_finished(record)) is not None]

    def _queue(
        self, choices: Choices, attributes: Mapping[str, Any], *, skip_if_exists: bool = False
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.enqueue_trial(
                dict(choices), user_attrs=dict(attributes), skip_if_exists=skip_if_exists
            )

    def _repeated(self, trial: Trial, genotype: Genotype) -> str | None:
        """The key that it is known by: its own, or that of a genotype of the same network."""
        key = genotype.key
        if key not in self._known and key not in self._aliases:
            same = self.ground.same(genotype)
            first = self._first.setdefault(same, key)
            if first == key:
                if same != key:
                    trial.set_user_attr(_SAME, same)
                return None
            self._aliases[key] = first
        return self._aliases.get(key, key)

    def _issue(self, trial: Trial, genotype: Genotype) -> Proposal:
        origin = str(trial.user_attrs.get("origin", "sampler"))
        trial.set_user_attr("genotype", genotype.to_json())
        self._known[genotype.key] = None
        self._open_trials[trial.number] = trial
        self._ids[trial.number] = trial._trial_id
        proposal = Proposal(trial.number, genotype, dict(trial.params), origin)
        self._pending[trial.number] = proposal
        return proposal

    def _tell_all(self, trial: Trial, record: Record, known: Collection[str]) -> list[Record]:
        """Give each variant a trial of its own, but for those of `known` genotypes, and finish."""
        added = [self._add(v, record) for v in record.variants if v.genotype.key not in known]
        own = replace(record, variants=())
        if record.variants:
            trial.set_user_attr("record", own.to_json())
        self._finish(trial, own)
        for variant in added:
            self._learn(variant)
        return [own, *added]

    def _add(self, variant: Record, trained: Record) -> Record:
        """A finished trial with the parameters of the training's, and what tells it from that."""
        storage = self._storage
        number = storage.next_number(self._study._study_id)
        record = replace(variant, number=number, network=trained.number)
        drawn = self._frozen(trained.number)
        answers = {
            name: variant.choices[name] for name in self.ground.made if name in variant.choices
        }
        made = {name: CategoricalDistribution(tuple(self.ground.made[name])) for name in answers}
        outdone = self._outdone(variant, [trained, *trained.variants])
        if outdone:
            storage.hidden.add(number)
        told = {**drawn.params, **answers}, {**drawn.distributions, **made}
        self._create(record, told, {"variant_of": trained.number, _OUTDONE: outdone})
        return record

    def _outdone(self, variant: Record, all_: Sequence[Record]) -> bool:
        """Whether another variant of the network is better, so that this says nothing of it.

        A sampler that saw it would take the network's choices for bad ones.
        """
        rivals = [r for r in all_ if r is not variant and r.outcome == "feasible"]
        if variant.outcome != "feasible":
            return bool(rivals)
        return any(dominates(r.values, variant.values, self.ground.axes) for r in rivals)

    def _finish(self, trial: Trial, record: Record) -> None:
        known = self._frozen(record.number).constraints
        for name, excess in self._constraints(record).items():
            if name not in known:  # as where the process ended between this and the state
                trial.set_constraint(name, excess)
        state = self._state(record)
        if state == TrialState.COMPLETE:
            self._study.tell(trial, self._values(record))
        else:
            self._study.tell(trial, state=state)
        self._learn(record)
        self._open_trials.pop(record.number, None)

    def _constraints(self, record: Record) -> dict[str, float]:
        """A budget that is not known to be kept or broken is left unsaid."""
        told = record.outcome == "feasible"
        names = [name for name in self.ground.budgets if told or name in record.violations]
        return {name: record.violations.get(name, 0.0) for name in names}

    def _state(self, record: Record) -> TrialState:
        """A budget that only training could tell is a constraint beside true values."""
        if record.outcome == "failed":
            return TrialState.FAIL
        known = all(math.isfinite(value) for value in self._values(record))
        whole = known and record.outcome != "stopped"
        return TrialState.COMPLETE if whole else TrialState.PRUNED

    def _values(self, record: Record) -> list[float]:
        return [record.values.get(axis.name, math.nan) for axis in self.ground.axes]

    def _learn(self, record: Record) -> None:
        self.records[record.number] = record
        self.paid += record.paid
        self.answered += record.network is None and not record.earlier
        self._told.append(record)
        self._pending.pop(record.number, None)
        self.climbing.pop(record.number, None)
        self._known[record.genotype.key] = frozen = self._frozen(record.number)
        # They are in the file, and in `records`: a second time they are most of a trial's memory.
        for told in ("record", "rung", "genotype"):
            frozen.user_attrs.pop(told, None)

    def _repeat(self, trial: Trial, known: FrozenTrial | None) -> None:
        """Answer a known genotype without evaluating it: what is true of it, or nothing."""
        if known is None or known.state != TrialState.COMPLETE:
            for name, excess in (known.constraints if known else {}).items():
                trial.set_constraint(name, excess)
            self._study.tell(trial, state=TrialState.PRUNED)
            return
        trial.set_user_attr("duplicate_of", known.number)
        for name, excess in known.constraints.items():
            trial.set_constraint(name, excess)
        self._study.tell(trial, known.values)

    def _adopt(self, trials: list[FrozenTrial]) -> None:
        """Take over what an earlier process left: outcomes, half-told ones, running ones."""
        for frozen in trials:
            attributes = frozen.user_attrs
            if _SAME in attributes and "genotype" in attributes:
                key = Genotype.from_json(attributes["genotype"]).key
                self._first.setdefault(attributes[_SAME], key)
            if "record" in attributes:
                record = Record.from_json(attributes["record"])
                if frozen.state == TrialState.RUNNING:
                    known = variants_of(frozen.number, trials)
                    self._tell_all(self._trial(frozen.number), record, known)
                else:
                    self._learn(record)
            elif frozen.state == TrialState.RUNNING and "genotype" in attributes:
                self._readopt(frozen, Genotype.from_json(attributes["genotype"]))
            elif frozen.state == TrialState.RUNNING:
                self._study.tell(frozen.number, state=TrialState.FAIL)
                self._ask_again(frozen)

    def _ask_again(self, frozen: FrozenTrial) -> None:
        """Queue a named point anew whose trial died before its genotype was known."""
        choices = frozen.system_attrs.get("fixed_params")
        if choices is not None:
            self._queue(choices, frozen.user_attrs)

    def _readopt(self, frozen: FrozenTrial, genotype: Genotype) -> None:
        origin = str(frozen.user_attrs.get("origin", "sampler"))
        self._known[genotype.key] = None
        proposal = Proposal(frozen.number, genotype, dict(frozen.params), origin)
        self._pending[frozen.number] = proposal
        self._lost.append(proposal)
        if "rung" in frozen.user_attrs:
            self.climbing[frozen.number] = Record.from_json(frozen.user_attrs["rung"])

    def _trial(self, number: int) -> Trial:
        trial = self._open_trials.get(number)
        return trial or Trial(self._study, self._ids[number])

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study._storage.get_trial(self._ids[number])
