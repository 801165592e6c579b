"""The guided sampler: what it learns from a history, and what it proposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator_guided.sampler import GuidedSampler

from orchestrator import Axis, Budget, Genotype, Ground, Record, Trial
from orchestrator.search.proposer import Proposer

AXES = (Axis("accuracy", "share", "maximize", 0.1), Axis("cost", "", "minimize", 30.0))
LAYERS = 6


def draw(trial: Trial) -> Genotype:
    """Six layers of three operators, of which the dear ones are good, and their order matters."""
    kinds = [
        trial.suggest_categorical(f"layer{i}", ["none", "cheap", "dear"]) for i in range(LAYERS)
    ]
    return Genotype("layers", "small", {"kinds": kinds})


def static(genotype: Genotype) -> dict[str, float]:
    price = {"none": 0.5, "cheap": 2.0, "dear": 5.0}
    return {"cost": sum(price[kind] for kind in genotype.architecture["kinds"])}


def accuracy(genotype: Genotype) -> float:
    worth = {"none": 0.0, "cheap": 0.8, "dear": 1.0}
    kinds = genotype.architecture["kinds"]
    gained = sum(worth[kind] / (1 + place) for place, kind in enumerate(kinds))
    return float(0.95 - 0.8 * np.exp(-gained))


def outcome(record: Record) -> Record:
    values = {"accuracy": accuracy(record.genotype), **static(record.genotype)}
    return replace(record, values=values, curve=(values["accuracy"],))


def proposer(folder: Path, seed: int = 0, **ground: Any) -> Proposer:
    folder.mkdir(parents=True, exist_ok=True)
    made = Ground(ground.pop("axes", AXES), draw, ground.pop("static", static), **ground)
    return Proposer(folder / "journal", made, lambda _: GuidedSampler(), seed=seed)


def searched(
    asked: Proposer, count: int, told: Callable[[Record], Record] = outcome
) -> Sequence[Record]:
    """So many candidates proposed and told."""
    for _ in range(count):
        proposal = asked.propose()
        assert proposal is not None
        asked.tell(
            told(Record(proposal.number, proposal.genotype, "feasible", choices=proposal.choices))
        )
    return list(asked.records.values())


def choices(records: Sequence[Record]) -> list[Mapping[str, Any]]:
    return [record.choices for record in records]


def test_the_same_seed_proposes_the_same(tmp_path: Path) -> None:
    first, again, other = (
        choices(searched(proposer(tmp_path / str(turn), seed), 16))
        for turn, seed in enumerate((1, 1, 2))
    )
    assert first == again != other


def test_a_resumed_search_proposes_what_an_uninterrupted_one_would(tmp_path: Path) -> None:
    whole = choices(searched(proposer(tmp_path / "whole"), 18))
    searched(proposer(tmp_path / "cut"), 13)
    assert choices(searched(proposer(tmp_path / "cut"), 5)) == whole


def test_no_static_budget_is_proposed_over(tmp_path: Path) -> None:
    asked = proposer(tmp_path, budgets={"cost": Budget(max=12.0)})
    records = searched(asked, 24)
    assert max(record.values["cost"] for record in records) <= 12.0


def test_a_budget_that_one_in_a_hundred_keeps_is_kept_from_the_start(tmp_path: Path) -> None:
    asked = proposer(tmp_path, budgets={"cost": Budget(max=5.0)})
    assert max(record.values["cost"] for record in searched(asked, 6)) <= 5.0


def test_a_budget_is_broken_only_where_no_other_network_is_left(tmp_path: Path) -> None:
    records = searched(proposer(tmp_path, budgets={"cost": Budget(max=7.5)}), 52)
    over = [record.values["cost"] > 7.5 for record in records]
    assert not any(over[:46]) and sum(over) == 52 - 48  # so many of the 729 keep it


def test_networks_like_those_that_failed_are_left_alone(tmp_path: Path) -> None:
    def told(record: Record) -> Record:
        bad = record.genotype.architecture["kinds"][0] == "dear"
        return replace(record, outcome="failed") if bad else outcome(record)

    records = searched(proposer(tmp_path), 40, told)
    failed = [record.outcome == "failed" for record in records]
    assert any(failed[:20]) and sum(failed[20:]) <= 4


def test_a_minimum_of_what_is_dear_is_aimed_at(tmp_path: Path) -> None:
    def told(record: Record) -> Record:
        found = outcome(record)
        short = 0.82 - found.values["accuracy"]
        return (
            replace(found, outcome="rejected", violations={"accuracy": short})
            if short > 0
            else found
        )

    records = searched(proposer(tmp_path, budgets={"accuracy": Budget(min=0.82)}), 40, told)
    kept = [record.outcome == "feasible" for record in records]
    assert np.mean(kept[20:]) >= 0.55  # of all networks a sixth keeps it


def test_pending_candidates_are_believed_and_not_proposed_again(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    searched(asked, 14)
    pending = [asked.propose() for _ in range(6)]
    costs = [static(p.genotype)["cost"] for p in pending if p]
    assert len({p.genotype.key for p in pending if p}) == 6
    assert max(costs) - min(costs) > 4.0  # not six times the same part of the front


def test_forty_of_729_are_enough_for_the_cheap_end_of_the_front(tmp_path: Path) -> None:
    records = searched(proposer(tmp_path), 40)
    for cheap in (1, 2, 3):
        kinds = ["cheap"] * cheap + ["none"] * (LAYERS - cheap)  # the best there is of that cost
        best = Genotype("layers", "small", {"kinds": kinds})
        found = [r.values for r in records if r.values["cost"] <= static(best)["cost"]]
        assert max(v["accuracy"] for v in found) == pytest.approx(accuracy(best))
