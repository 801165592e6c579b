"""Two journals as one: no candidate lost, none twice, numbers that follow from the two."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import SPACE_SIZE

from orchestrator import Axis, Genotype, Ground, Proposal, Record, Trial
from orchestrator.plugins import installed
from orchestrator.search.joining import Joined, Retold, join
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.testing.toys import ToySpace

AXES = (Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 12.0))


def draw(trial: Trial) -> Genotype:
    return Genotype("toy", "small", ToySpace().suggest(trial))


def proposer(journal: Path, seed: int = 0) -> Proposer:
    def make(own: int) -> Any:
        return installed().create("sampler", "random", {}, given={"seed": own})

    journal.parent.mkdir(exist_ok=True)
    return Proposer(journal, Ground(AXES, draw, made={"bits": (8, 32)}), make, seed=seed)


def outcome(proposal: Proposal) -> Record:
    """A network and its smaller file; every third fails."""
    total = sum(proposal.genotype.architecture["widths"])
    values = {"accuracy": 0.1 * total, "params": float(total)}
    own = Record(proposal.number, proposal.genotype, "feasible", values, proposal.choices)
    if total % 3 == 0:
        return replace(own, outcome="failed", values={}, error="lost")
    small = replace(proposal.genotype, runtime="int8")
    return replace(
        own, variants=(Record(-1, small, "feasible", values, {**proposal.choices, "bits": 8}),)
    )


def searched(journal: Path, seed: int, told: int, pending: int) -> None:
    """A half that was killed while some were on their way."""
    asked = proposer(journal, seed)
    for _ in range(told):
        if (proposal := asked.propose()) is not None:
            asked.tell(outcome(proposal))
    for _ in range(pending):
        asked.propose()


def joined(folder: Path) -> tuple[Path, Joined]:
    """The two halves in `folder` as one."""
    into = folder / "both.journal"
    shutil.copy(folder / "a" / "journal", into)
    return into, join(into, folder / "b" / "journal", AXES)


@pytest.mark.parametrize("seed", range(6))
def test_no_candidate_is_lost_and_none_is_there_twice(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    for place, name in enumerate("ab"):
        searched(tmp_path / name / "journal", 10 * seed + place, rng.randrange(9), rng.randrange(4))
    into, _ = joined(tmp_path)
    halves = [read_records(tmp_path / name / "journal") for name in "ab"]
    found = {record.genotype.key: record for record in read_records(into)}
    assert len(found) == len(read_records(into))
    assert set(found) == {record.genotype.key for half in halves for record in half}
    assert all(found[record.genotype.key] == record for record in halves[0])
    numbers = {record.number: record for record in found.values()}
    for record in found.values():
        if record.network is not None:
            assert numbers[record.network].genotype == record.genotype.plain()


def test_what_was_on_its_way_is_proposed_first_and_the_search_goes_on(tmp_path: Path) -> None:
    searched(tmp_path / "a" / "journal", 1, 3, 2)
    searched(tmp_path / "b" / "journal", 2, 3, 2)
    into, told = joined(tmp_path)
    asked, known = proposer(into, seed=3), {r.genotype.key for r in read_records(into)}
    open_ones = [proposal.genotype.key for proposal in asked.history.pending]
    assert len(open_ones) == len(set(open_ones)) >= 2 and not known & set(open_ones)
    for _ in range(SPACE_SIZE - sum(r.network is None for r in asked.records.values())):
        if (proposal := asked.propose()) is not None:
            asked.tell(outcome(proposal))
    assert sum(record.network is None for record in asked.records.values()) == SPACE_SIZE
    assert told.open


def test_what_one_half_had_open_and_the_other_was_told_is_told(tmp_path: Path) -> None:
    first = proposer(tmp_path / "a" / "journal", 4)
    proposal = first.propose()
    assert proposal is not None
    searched(tmp_path / "b" / "journal", 4, 1, 0)  # the same seed: the same candidate
    into, told = joined(tmp_path)
    assert not told.new or proposal.number not in told.new
    assert {r.number for r in read_records(into)} >= {proposal.number}
    assert not proposer(into).history.pending


def test_the_same_two_give_the_same(tmp_path: Path) -> None:
    searched(tmp_path / "a" / "journal", 5, 5, 1)
    searched(tmp_path / "b" / "journal", 6, 5, 1)
    first = joined(tmp_path)
    records = read_records(first[0])
    second = joined(tmp_path)
    assert first[1] == second[1] and records == read_records(second[0])


def test_what_the_other_half_found_is_told_as_it_is_retold(tmp_path: Path) -> None:
    searched(tmp_path / "a" / "journal", 1, 2, 0)
    searched(tmp_path / "b" / "journal", 2, 4, 0)
    into = tmp_path / "both.journal"
    shutil.copy(tmp_path / "a" / "journal", into)

    def doubled(record: Record) -> Record:
        if record.outcome != "feasible":
            return record
        params = 2 * record.values["params"]
        over = {"params": params - 9} if params > 9 else {}
        values = {**record.values, "params": params}
        return replace(record, values=values, violations=over)

    told = join(into, tmp_path / "b" / "journal", AXES, Retold(doubled, ["params"]))
    asked = proposer(into)
    theirs = [asked.records[told.numbers[number]] for number in told.new]
    known = [r for r in theirs if r.outcome == "feasible"]
    assert known and all(r.values["params"] == 20 * r.values["accuracy"] for r in known)
    for record in known:
        trial = asked._frozen(record.number)
        assert trial.values[1] == record.values["params"]
        assert trial.constraints == {"params": record.violations.get("params", 0.0)}
