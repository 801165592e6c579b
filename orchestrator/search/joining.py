"""Two halves of one search as one journal: every candidate once, under a number of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from orchestrator.contracts.objective import Axis
from orchestrator.records import Genotype, Record
from orchestrator.search.journal import OneWriter, open_search, open_storage, record_of

__all__ = ["Joined", "Retold", "join"]


@dataclass
class Joined:
    """What became of the second half's candidates.

    `numbers` are all of theirs → those in the joined journal. `new` are the numbers they had of
    those that the first half did not have, `open` of those that were handed out and not told.
    """

    numbers: dict[int, int] = field(default_factory=dict)
    new: list[int] = field(default_factory=list)
    open: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Retold:
    """What the other half's records are here, where figures of the two are not told alike.

    `budgets` are the objectives that have one.
    """

    record: Callable[[Record], Record] = lambda record: record
    budgets: Collection[str] = ()


def join(journal: Path, other: Path, axes: Sequence[Axis], retold: Retold | None = None) -> Joined:
    """Add to a journal what another has and it has not; which this process alone writes to.

    The first one's numbers stay; the other's candidates follow in their order, so that the same two
    always give the same. One that both evaluated is what the first says, one that the first has
    open is what the other was told of it. Answers to repeats and what merely waited are left out.
    Raises RunError for what is no journal.
    """
    return _Join(journal, other, axes, retold or Retold()).run()


class _Join:
    def __init__(self, journal: Path, other: Path, axes: Sequence[Axis], retold: Retold) -> None:
        self._study = open_search(journal, axes)
        self._axes, self._retold = axes, retold
        assert isinstance(self._study._storage, OneWriter)
        self._storage = self._study._storage
        self._other = other
        self._known: dict[str, FrozenTrial] = {}
        for trial in self._storage.every_trial(self._study._study_id):
            for name in _names(trial):
                self._known.setdefault(name, trial)
        self._joined = Joined()

    def run(self) -> Joined:
        """One after another, synced once."""
        storage = open_storage(self._other, mend=False)
        with self._storage.together():
            for study in storage.get_all_studies():
                for trial in storage.get_all_trials(study._study_id, deepcopy=False):
                    self._take(trial)
        return self._joined

    def _take(self, trial: FrozenTrial) -> None:
        names = _names(trial)
        if not names:
            return
        same = next((self._known[name] for name in names if name in self._known), None)
        if same is None:
            added = self._add(trial)
            self._joined.numbers[trial.number] = added.number
            self._known |= {name: added for name in names}
            self._joined.new.append(trial.number)
        else:
            self._joined.numbers[trial.number] = same.number
            told = self._told(trial) if same.state == TrialState.RUNNING else None
            if told is not None:
                self._settle(same, trial, told)
        if "record" not in trial.user_attrs:
            self._joined.open.append(trial.number)

    def _add(self, trial: FrozenTrial) -> FrozenTrial:
        number = self._storage.next_number(self._study._study_id)
        told = self._told(trial)
        added = self._storage.create_new_trial(
            self._study._study_id,
            template_trial=create_trial(
                state=trial.state,
                values=self._values(trial, told),
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=self._attributes(trial, told, number),
                constraints=self._constraints(trial, told),
            ),
        )
        return self._storage.get_trial(added)

    def _values(self, trial: FrozenTrial, record: Record | None) -> list[float] | None:
        """Of the searched objectives, as they are told here."""
        if trial.state != TrialState.COMPLETE:
            return None
        values = record.values if record else {}
        told = zip(self._axes, trial.values, strict=True)
        return [values.get(axis.name, value) for axis, value in told]

    def _constraints(self, trial: FrozenTrial, record: Record | None) -> dict[str, float]:
        """Of budgets that are known to be kept or broken, as they are told here."""
        if record is None:
            return dict(trial.constraints)
        known = self._retold.budgets if record.outcome == "feasible" else record.violations
        names = {**trial.constraints, **dict.fromkeys(known, 0.0)}
        return {name: record.violations.get(name, 0.0) for name in names}

    def _told(self, trial: FrozenTrial) -> Record | None:
        """What the other was told of a candidate, as it is told here; None where it is open."""
        known = "record" in trial.user_attrs
        return self._retold.record(record_of(trial, self._other)) if known else None

    def _attributes(self, trial: FrozenTrial, record: Record | None, number: int) -> dict[str, Any]:
        """What is known of a candidate, under its new number."""
        found = dict(trial.user_attrs)
        if record is not None:
            found["record"] = self._renumbered(record, number).to_json()
        if "rung" in found:
            reached = self._retold.record(Record.from_json(found["rung"]))
            found["rung"] = self._renumbered(reached, number).to_json()
        if "variant_of" in found:
            found["variant_of"] = self._joined.numbers[found["variant_of"]]
        return found

    def _renumbered(self, record: Record, number: int) -> Record:
        network = None if record.network is None else self._joined.numbers[record.network]
        return replace(record, number=number, network=network)

    def _settle(self, same: FrozenTrial, trial: FrozenTrial, told: Record) -> None:
        """What the first half still had open, the other was told."""
        own = Trial(self._study, same._trial_id)
        for name, excess in self._constraints(trial, told).items():
            own.set_constraint(name, excess)
        own.set_user_attr("record", self._renumbered(told, same.number).to_json())
        if trial.state.is_finished():
            values = self._values(trial, told)
            self._storage.set_trial_state_values(same._trial_id, trial.state, values)
        settled = self._storage.get_trial(same._trial_id)
        self._known |= {name: settled for name in _names(settled)}


def _names(trial: FrozenTrial) -> list[str]:
    """What a candidate is known by: its genotype, and what its network is."""
    told = trial.user_attrs
    if "record" in told:
        genotype = Genotype.from_json(told["record"]["genotype"])
    elif "genotype" in told and trial.state == TrialState.RUNNING:
        genotype = Genotype.from_json(told["genotype"])
    else:
        return []
    return [genotype.key, *([f"same {told['same']}"] if "same" in told else [])]
