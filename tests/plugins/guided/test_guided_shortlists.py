"""What the guided sampler wants measured before it proposes, and what it makes of it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator_guided.sampler import GuidedSampler, _expected_best

from orchestrator import Axis, Budget, Genotype, Ground, Measured, Record, Trial
from orchestrator.search.proposer import Proposer

AXES = (Axis("accuracy", "share", "maximize", 0.1), Axis("latency_ms", "ms", "minimize", 40.0))
BUDGETS = {"latency_ms": Budget(max=25.0)}
KINDS = {"none": 0.5, "cheap": 2.0, "dear": 5.0}


def draw(trial: Trial) -> Genotype:
    kinds = [trial.suggest_categorical(f"layer{i}", list(KINDS)) for i in range(6)]
    return Genotype("layers", "small", {"kinds": kinds})


def latency(genotype: Genotype) -> float:
    """What layers take, and a third more or less that nothing foretells."""
    own = int(hashlib.sha256(genotype.key.encode()).hexdigest(), 16) % 1000 / 1000
    return sum(KINDS[kind] for kind in genotype.architecture["kinds"]) * (0.7 + 0.6 * own)


def proposer(folder: Path, *, measured: int = 4, **ground: Any) -> Proposer:
    folder.mkdir(parents=True, exist_ok=True)
    made = Ground(AXES, draw, budgets=BUDGETS, **{"measurable": ["latency_ms"], **ground})
    return Proposer(folder / "journal", made, lambda _: GuidedSampler(measured=measured))


def told(record: Record) -> Record:
    """What is known untrained."""
    values = {"latency_ms": latency(record.genotype)}
    over = values["latency_ms"] - 25.0
    broken = {"latency_ms": over} if over > 0 else {}
    outcome: Any = "rejected" if broken else "stopped"
    return replace(record, outcome=outcome, values=values, violations=broken)


def found(wanted: Measured) -> Record:
    extra = {"foreseen": True}
    return told(Record(-1, wanted.genotype, "stopped", choices=wanted.choices, extra=extra))


def step(asked: Proposer) -> int:
    """One proposal after its shortlist; how many networks were measured for it."""
    wanted = asked.shortlist()
    if wanted:
        asked.measured([found(each) for each in wanted])
    proposal = asked.propose()
    assert proposal is not None
    record = told(Record(proposal.number, proposal.genotype, "stopped", choices=proposal.choices))
    if record.outcome == "stopped":
        kinds = proposal.genotype.architecture["kinds"]
        gained = sum(KINDS[kind] ** 0.5 / (2 + place) for place, kind in enumerate(kinds))
        values = {**record.values, "accuracy": float(0.95 - 0.8 * np.exp(-gained))}
        record = replace(record, outcome="feasible", values=values)
    asked.tell(record)
    return len(wanted)


def test_a_few_are_measured_once_there_is_a_model(tmp_path: Path) -> None:
    asked = proposer(tmp_path)
    counts = [step(asked) for _ in range(22)]
    assert not any(counts[:10]) and max(counts) <= 4 and sum(count > 0 for count in counts) >= 6
    over = [r for r in asked.records.values() if r.outcome == "rejected" and not r.paid]
    assert all(record.values["latency_ms"] > 25.0 for record in over)


def test_a_resumed_search_with_shortlists_goes_on_alike(tmp_path: Path) -> None:
    whole, cut = proposer(tmp_path / "whole"), proposer(tmp_path / "cut")
    counts = [[step(asked) for _ in range(16)] for asked in (whole, cut)]
    assert counts[0] == counts[1]
    resumed = proposer(tmp_path / "cut")
    for _ in range(4):
        step(whole)
        step(resumed)
    both = [[r.choices for r in asked.records.values()] for asked in (whole, resumed)]
    assert both[0] == both[1] and sum(counts[0]) > 0


@pytest.mark.parametrize("off", [{"measured": 0}, {"measurable": []}, {"measuring": 1.0}])
def test_nothing_is_measured_where_it_is_off_or_dear(tmp_path: Path, off: dict[str, Any]) -> None:
    asked = proposer(tmp_path, **off)
    assert [step(asked) for _ in range(14)] == [0] * 14


def test_the_best_of_two_that_may_differ_is_better_than_either() -> None:
    """Of two that are worth 1 or 3 alike likely the better one is worth 2.5, each of them 2."""
    unsure, sure = np.array([[1.0, 1.0], [3.0, 3.0]]), np.array([[2.0, 1.0], [2.0, 1.0]])
    assert _expected_best(unsure, [0.5, 0.5]) == pytest.approx(0.25)
    assert _expected_best(sure, [0.5, 0.5]) == pytest.approx(0.0)
