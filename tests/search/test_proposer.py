from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from toys import SPACE_SIZE

from orchestrator.contracts import Axis, Budget, Ground, Proposal
from orchestrator.errors import RunError
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Record
from orchestrator.search.journal import _Journal, exclusive
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.testing.toys import ToySpace

ACCURACY = Axis("accuracy", "share", "maximize", 0.0)
PARAMS = Axis("params", "", "minimize", 12.0, max=9.0)
SEEDS = {name: point.choices for name, point in ToySpace().published().items()}


def draw(trial: Any) -> Genotype:
    return Genotype("toy", "small", ToySpace().suggest(trial))


def proposer(
    folder: Path, sampler: str = "random", *, seed: int = 0, axes: Sequence[Axis] = ()
) -> Proposer:
    ground = Ground(axes or (ACCURACY, PARAMS), draw, budgets={"params": Budget(max=9.0)})

    def make(seed: int) -> Any:
        return installed().create("sampler", sampler, {}, given={"seed": seed})

    return Proposer(folder / "study.journal", ground, make, seed=seed)


def outcome(proposal: Proposal, **changes: Any) -> Record:
    widths = proposal.genotype.architecture["widths"]
    known = {
        "outcome": "feasible",
        "values": {"accuracy": widths[0] / 4, "params": float(sum(widths))},
        "choices": proposal.choices,
        "origin": proposal.origin,
    }
    return Record(proposal.number, proposal.genotype, **{**known, **changes})


def judged(proposal: Proposal) -> Record:
    """Feasible, or rejected where the budget of parameters is broken."""
    over = sum(proposal.genotype.architecture["widths"]) - 9.0
    if over <= 0:
        return outcome(proposal)
    return outcome(proposal, outcome="rejected", violations={"params": over}, values={"params": 9})


def exhaust(asked: Proposer, tell: Callable[[Proposal], Record] = outcome) -> list[Proposal]:
    proposals = []
    while (proposal := asked.propose()) is not None:
        proposals.append(proposal)
        asked.tell(tell(proposal))
    return proposals


def state(asked: Proposer, number: int) -> Any:
    return asked._storage.every_trial(asked._study._study_id)[number]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "gp", "random"])
def test_every_sampler_proposes_valid_genotypes_under_constraints(
    tmp_path: Path, sampler: str
) -> None:
    asked = proposer(tmp_path, sampler)
    for _ in range(12):
        proposal = asked.propose()
        assert proposal is not None
        assert 1 <= proposal.genotype.architecture["widths"][0] <= 4
        asked.tell(judged(proposal))
    assert {record.outcome for record in asked.records.values()} == {"feasible", "rejected"}


def test_no_genotype_is_proposed_twice_and_a_used_up_space_is_told(tmp_path: Path) -> None:
    keys = [proposal.genotype.key for proposal in exhaust(proposer(tmp_path))]
    assert len(keys) == len(set(keys)) == SPACE_SIZE


def test_a_genotype_that_is_still_running_is_not_proposed_again(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    keys = [p.genotype.key for p in (asked.propose() for _ in range(6)) if p]
    assert len(set(keys)) == 6


def test_a_repeat_is_told_what_is_known(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    exhaust(asked, judged)
    trials = asked._study.get_trials()
    repeats = [t for t in trials if "duplicate_of" in t.user_attrs]
    assert repeats
    for repeat in repeats:
        first = trials[repeat.user_attrs["duplicate_of"]]
        assert repeat.values == first.values
        assert repeat.constraints == first.constraints


def test_a_repeat_of_a_rejected_one_is_told_by_how_much(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    exhaust(asked, judged)
    first = next(r for r in asked.records.values() if r.outcome == "rejected")
    again = [
        t
        for t in asked._study.get_trials()
        if t.params == dict(first.choices) and t.number != first.number
    ]
    assert again
    assert {t.state for t in again} == {TrialState.PRUNED}
    assert {t.constraints["params"] for t in again} == {first.violations["params"]}


def test_outcomes_become_optunas_states(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    ways = [
        ({}, TrialState.COMPLETE),
        ({"outcome": "failed", "values": {}, "step": "training"}, TrialState.FAIL),
        ({"outcome": "stopped", "values": {"params": 5.0}}, TrialState.PRUNED),
        (
            {"outcome": "rejected", "values": {"params": 11.0}, "violations": {"params": 2.0}},
            TrialState.PRUNED,
        ),
        ({"outcome": "rejected", "violations": {"params": 2.0}}, TrialState.COMPLETE),
    ]
    for number, (changes, expected) in enumerate(ways):
        proposal = asked.propose()
        assert proposal is not None
        asked.tell(outcome(proposal, **changes))
        assert state(asked, proposal.number).state == expected, number


def test_budgets_become_constraints_only_where_they_are_known(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    told: list[dict[str, float]] = []
    for changes in (
        {},
        {"outcome": "rejected", "violations": {"params": 2.0}},
        {"outcome": "failed", "values": {}},
    ):
        proposal = asked.propose()
        assert proposal is not None
        asked.tell(outcome(proposal, **changes))
        told.append(dict(state(asked, proposal.number).constraints or {}))
    assert told == [{"params": 0.0}, {"params": 2.0}, {}]


def test_telling_twice_changes_nothing(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    proposal = asked.propose()
    assert proposal is not None
    asked.tell(outcome(proposal))
    asked.tell(outcome(proposal, outcome="failed", values={}))
    assert asked.records[proposal.number].outcome == "feasible"
    assert state(asked, proposal.number).state == TrialState.COMPLETE


def test_seeds_come_first_and_only_once_after_a_resume(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    for name, choices in SEEDS.items():
        asked.suggest_first(choices, name)
    first = asked.propose()
    assert first is not None and first.origin == "wide"
    again = proposer(tmp_path)  # died before anything was told
    for name, choices in SEEDS.items():
        again.suggest_first(choices, name)
    origins = [proposal.origin for proposal in exhaust(again)]
    assert origins[:2] == ["wide", "tall"]
    assert origins.count("wide") == origins.count("tall") == 1


def test_a_seed_whose_draw_was_cut_short_is_drawn_again(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    asked.suggest_first(SEEDS["tall"], "tall")
    asked._study.ask()  # and the process dies before the genotype is known
    again = proposer(tmp_path).propose()
    assert again is not None and again.origin == "tall"
    assert dict(again.choices) == dict(SEEDS["tall"])


def test_what_was_running_comes_first_after_a_restart(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    running = [asked.propose() for _ in range(3)]
    assert running[1] is not None
    asked.tell(outcome(running[1]))
    again = proposer(tmp_path)
    assert [again.propose(), again.propose()] == [running[0], running[2]]
    assert list(again.records) == [1]


def test_the_same_seed_gives_the_same_proposals(tmp_path: Path) -> None:
    def keys(folder: str, seed: int) -> list[str]:
        (tmp_path / folder).mkdir()
        asked = proposer(tmp_path / folder, "tpe", seed=seed)
        found = []
        for _ in range(8):
            proposal = asked.propose()
            assert proposal is not None
            asked.tell(outcome(proposal))
            found.append(proposal.genotype.key)
        return found

    assert keys("a", 0) == keys("b", 0)
    assert keys("a2", 0) != keys("c", 1)


def test_a_torn_last_line_is_cut_and_nothing_else_is_lost(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    before = exhaust(asked)[:3]
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 8, "worker')
    assert len(read_records(journal)) == SPACE_SIZE
    again = proposer(tmp_path)
    assert [again.records[p.number].genotype for p in before] == [p.genotype for p in before]
    assert journal.read_bytes().startswith(whole)
    for line in journal.read_bytes().splitlines():
        json.loads(line)


def test_reading_leaves_a_journal_as_it_is(tmp_path: Path) -> None:
    exhaust(proposer(tmp_path))
    journal = tmp_path / "study.journal"
    torn = journal.read_bytes() + b'{"op_code": 8'
    journal.write_bytes(torn)
    read_records(journal)
    assert journal.read_bytes() == torn


@pytest.mark.parametrize(
    "content", [b"garbage", b"\x89PNG\r\n\x1a\n", b"1\n2\n3\n", b'{"a": 1}\n{}\n', b"[]\n[]\n"]
)
def test_an_unreadable_journal_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "study.journal"
    journal.write_bytes(content)
    message = r"study\.journal cannot be read as a study's journal, line \d+: "
    with pytest.raises(RunError, match=message):
        proposer(tmp_path)
    with pytest.raises(RunError, match="cannot be read"):
        read_records(journal)
    assert journal.read_bytes() == content


def test_a_search_for_other_objectives_is_refused(tmp_path: Path) -> None:
    proposer(tmp_path)
    with pytest.raises(RunError, match="was searched for accuracy, params, not for params"):
        proposer(tmp_path, axes=[PARAMS, ACCURACY])


def test_what_a_worker_finished_is_told_after_a_restart(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    finished, lost = asked.propose(), asked.propose()
    assert finished is not None and lost is not None
    results = tmp_path / "results"
    results.mkdir()
    record = outcome(finished)
    (results / "0000.json").write_text(json.dumps(record.to_json()))
    (results / "0001.json").write_text('{"number": 1, "geno')
    again = proposer(tmp_path)
    again.recover(results)
    assert again.records == {0: record}
    assert again.propose() == lost


def test_a_result_of_another_genotype_is_not_taken(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    first, other = asked.propose(), asked.propose()
    assert first is not None and other is not None
    stale = outcome(other).to_json() | {"number": first.number}
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "0000.json").write_text(json.dumps(stale))
    again = proposer(tmp_path)
    again.recover(tmp_path / "results")
    assert again.records == {}


def test_an_outcome_whose_state_was_not_written_is_finished_after_a_restart(
    tmp_path: Path,
) -> None:
    asked = proposer(tmp_path)
    proposal = asked.propose()
    assert proposal is not None
    record = outcome(proposal)
    asked._trial(proposal.number).set_user_attr("record", record.to_json())
    again = proposer(tmp_path)
    assert again.records == {0: record}
    assert state(again, 0).values == [record.values["accuracy"], record.values["params"]]


def test_values_that_are_not_finite_never_reach_the_sampler(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    proposal = asked.propose()
    assert proposal is not None
    asked.tell(outcome(proposal, values={"accuracy": math.nan, "params": 3.0}))
    assert state(asked, 0).state == TrialState.PRUNED


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path),
        pytest.raises(RunError, match=rf"in use by process {os.getpid()}"),
        exclusive(tmp_path),
    ):
        pass
    with exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="cannot be written: No such file"),
        exclusive(tmp_path / "gone"),
    ):
        pass


@pytest.mark.parametrize("sampler", ["random", "guided"])
def test_a_step_never_looks_through_all_candidates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    asked = proposer(tmp_path, sampler)
    first = asked.propose()
    assert first is not None
    looked: list[Any] = []
    look = JournalStorage.get_all_trials

    def watched(self: Any, *arguments: Any, **named: Any) -> Any:
        looked.append(arguments)
        return look(self, *arguments, **named)

    monkeypatch.setattr(JournalStorage, "get_all_trials", watched)
    asked.tell(outcome(first))
    for _ in range(3):
        proposal = asked.propose()
        assert proposal is not None
        asked.tell(outcome(proposal))
    assert looked == []
    known = [dict(record.choices) for record in asked.records.values()]
    deep = [{"kind": "deep", "width": w, "second": s} for w in range(1, 5) for s in (5, 6, 7)]
    asked.suggest_first(next(c for c in deep if c not in known), "named")
    found = asked.propose()  # what is queued is found all the same
    assert found is not None and found.origin == "named"


MADE = {"runtime": ["", "other"], "size": ["full", "small", "tiny"]}


def with_variants(proposal: Proposal) -> Record:
    """A training that gave three candidates beside its own."""
    own = outcome(proposal)
    variants = [
        replace(
            own,
            genotype=replace(proposal.genotype, runtime=runtime, preset=size),
            values={"accuracy": 0.1, "params": 1.0},
            choices={"runtime": runtime, "size": size},
            network=proposal.number,
        )
        for runtime, size in (("", "tiny"), ("other", "full"), ("other", "small"))
    ]
    return replace(own, variants=tuple(variants))


def made_proposer(folder: Path, sampler: str = "random") -> Proposer:
    asked = proposer(folder, sampler)
    asked.ground = replace(asked.ground, made=MADE)
    return asked


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_variants_are_finished_trials_beside_the_proposal(tmp_path: Path, sampler: str) -> None:
    asked = made_proposer(tmp_path, sampler)
    for _ in range(13):
        proposal = asked.propose()
        assert proposal is not None and "runtime" not in proposal.choices
        own, *others = asked.tell(with_variants(proposal))
        assert [other.number for other in others] == [own.number + n for n in (1, 2, 3)]
    assert asked.paid == asked.answered == 13 and len(asked.history.records) == 52
    last = state(asked, others[-1].number)
    assert last.state == TrialState.COMPLETE and last.values == [0.1, 1.0]
    assert {"runtime": "other", "size": "small", **proposal.choices} == last.params
    assert asked.history.knows(others[-1].genotype)


def killed_after(asked: Proposer, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends once so many lines of the journal are written."""
    left, append = [lines], _Journal.append_logs

    def written(self: Any, logs: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        append(self, logs)

    monkeypatch.setattr(_Journal, "append_logs", written)


@pytest.mark.parametrize("lines", range(8))
def test_a_kill_between_variants_loses_nothing_and_tells_nothing_twice(
    tmp_path: Path, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made_proposer(tmp_path)
    proposal = first.propose()
    assert proposal is not None
    record = with_variants(proposal)
    (tmp_path / "0000.json").write_text(json.dumps(record.to_json()))
    with monkeypatch.context() as patched:
        killed_after(first, lines, patched)
        with contextlib.suppress(KeyboardInterrupt):
            first.tell(record)
    assert all(known.variants == () for known in read_records(tmp_path / "study.journal"))
    again = made_proposer(tmp_path)
    again.recover(tmp_path)
    found = read_records(tmp_path / "study.journal")
    keys = {r.genotype.key for r in (record, *record.variants)}
    assert {r.genotype.key for r in found} == keys and len(found) == 4
    assert sorted(again.records) == [r.number for r in found]
    assert [r.network for r in found] == [None, 0, 0, 0] and again.paid == 1
    assert all(state(again, r.number).state == TrialState.COMPLETE for r in found)


def test_samplers_do_not_see_a_variant_that_another_of_its_network_outdoes(tmp_path: Path) -> None:
    asked = made_proposer(tmp_path)
    proposal = asked.propose()
    assert proposal is not None
    first, second, _ = with_variants(proposal).variants
    better = replace(first, values={"accuracy": 1.0, "params": 1.0})
    worse = replace(second, values={"accuracy": 0.5, "params": 2.0})
    asked.tell(replace(outcome(proposal), variants=(better, worse)))
    assert [trial.number for trial in asked._study.get_trials()] == [0, 1]
    assert [trial.number for trial in made_proposer(tmp_path)._study.get_trials()] == [0, 1]
    assert len(asked.records) == 3
