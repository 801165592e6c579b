"""What an earlier run evaluated counts as known in a search, and is not paid for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import SPACE_SIZE

from orchestrator import Axis, Genotype, Ground, Record, Trial
from orchestrator.analysis.ledger import Ledger
from orchestrator.errors import ConfigError
from orchestrator.plugins import installed
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.testing.toys import ToySpace

AXES = (Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 12.0))


def draw(trial: Trial) -> Genotype:
    return Genotype("toy", "small", ToySpace().suggest(trial))


def proposer(folder: Path, sampler: str = "random", **more: Any) -> Proposer:
    folder.mkdir(exist_ok=True)
    ground = Ground(AXES, draw, made={"bits": (8, 32)})

    def make(seed: int) -> Any:
        return installed().create("sampler", sampler, {}, given={"seed": seed})

    return Proposer(folder / "study.journal", ground, make, **more)


def told(asked: Proposer, count: int) -> list[Record]:
    """Candidates, each with a variant."""
    for _ in range(count):
        if (proposal := asked.propose()) is None:
            break
        widths = proposal.genotype.architecture["widths"]
        values = {"accuracy": 0.1 * sum(widths), "params": float(sum(widths))}
        choices = {**proposal.choices, "bits": 8}
        smaller = replace(proposal.genotype, runtime="int8")
        variant = Record(-1, smaller, "feasible", values, choices)
        own = Record(proposal.number, proposal.genotype, "feasible", values, proposal.choices)
        asked.tell(replace(own, variants=(variant,)))
    return list(asked.records.values())


@pytest.fixture
def before(tmp_path: Path) -> list[Record]:
    return [replace(record, earlier="first") for record in told(proposer(tmp_path / "a"), 5)]


def test_none_of_it_is_proposed_again_and_none_of_it_is_paid_for(
    tmp_path: Path, before: list[Record]
) -> None:
    asked = proposer(tmp_path / "b", seed=7)
    assert len(asked.take_over(before)) == 10
    assert (asked.paid, asked.answered) == (0, 0)
    records = told(asked, SPACE_SIZE - 5)
    assert asked.paid == SPACE_SIZE - 5
    assert len({record.genotype.key for record in records}) == len(records) == 2 * SPACE_SIZE
    ledger = Ledger(AXES, records)
    assert (ledger.earlier, ledger.trainings, len(ledger)) == (5, SPACE_SIZE - 5, 2 * SPACE_SIZE)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "guided"])
def test_it_is_evidence_for_the_sampler(tmp_path: Path, before: list[Record], sampler: str) -> None:
    asked = proposer(tmp_path / "b", sampler)
    asked.take_over(before)
    assert [record.earlier for record in asked.history.records] == ["first"] * 10
    finished = asked._study.get_trials(deepcopy=False)
    assert all(trial.values and trial.distributions for trial in finished)
    assert asked.propose() is not None


def test_the_journal_keeps_it_and_taking_it_again_changes_nothing(
    tmp_path: Path, before: list[Record]
) -> None:
    taken = proposer(tmp_path / "b").take_over(before[:3])
    again = proposer(tmp_path / "b")
    assert again.records == {record.number: record for record in taken}
    again.take_over(before)
    kept = read_records(tmp_path / "b" / "study.journal")
    assert [record.genotype for record in kept] == [record.genotype for record in before]
    keys = {record.number: record.genotype.key for record in kept}
    whose = [keys[record.network] for record in kept if record.network is not None]
    assert whose == [record.genotype.key for record in before if record.network is None]


def test_what_the_space_no_longer_asks_is_refused(tmp_path: Path, before: list[Record]) -> None:
    lost = replace(before[0], choices={})
    with pytest.raises(ConfigError, match=r"candidate 0000-\w+ of first cannot be drawn"):
        proposer(tmp_path / "b").take_over([lost])
