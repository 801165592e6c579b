"""What is proposed where candidates inherit trained weights: parts of what was trained."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from orchestrator_guided.sampler import GuidedSampler

from orchestrator import Axis, Genotype, Ground, Record, Relatives, SamplerContext, Trial
from orchestrator.search.proposer import Proposer

AXES = (Axis("accuracy", "share", "maximize", 0.1),)
START = {"depth": 4, "activation": "relu", "biased": True, "kernel": 5, "dropped": 0.4}


def draw(trial: Trial) -> Genotype:
    """Each kind of answer, and a compressor's that no space has."""
    chosen: dict[str, Any] = {
        "depth": trial.suggest_int("depth", 1, 6),
        "activation": trial.suggest_categorical("activation", ["silu", "relu", "gelu"]),
        "biased": trial.suggest_categorical("biased", [False, True]),
        "kernel": trial.suggest_categorical("kernel", [3, 5, 7]),
        "dropped": trial.suggest_float("dropped", 0.0, 1.0),
        "ratio": trial.suggest_categorical("pruning.ratio", [0, 0.3, 0.6]),
    }
    return Genotype("parts", "small", chosen)


def relatives(start: Mapping[str, Any] | None, count: int = 200) -> list[Mapping[str, Any]]:
    context = SamplerContext(Ground(AXES, draw, start=start), seed=3)
    return Relatives(context).some(count, random.Random(0))


def test_numbers_are_at_most_those_of_the_trained_network() -> None:
    found = relatives(START)
    assert {each["depth"] for each in found} == {1, 2, 3, 4}
    assert {each["kernel"] for each in found} == {3, 5}
    assert all(0 <= each["dropped"] <= START["dropped"] for each in found)


def test_what_is_no_number_is_what_it_was_trained_with() -> None:
    assert {(each["activation"], each["biased"]) for each in relatives(START)} == {("relu", True)}


def test_some_are_near_and_some_are_far() -> None:
    kept = [sum(each[name] == START[name] for name in START) for each in relatives(START)]
    assert set(kept) == {2, 3, 4}  # of five, of which three are numbers


def test_the_nearest_come_first() -> None:
    kept = [sum(each[name] == START[name] for name in START) for each in relatives(START)]
    assert kept == sorted(kept, reverse=True)


def test_what_saves_most_is_lowered_most_often() -> None:
    names = [f"width{place}" for place in range(12)]

    def wide(trial: Trial) -> Genotype:
        chosen = {name: trial.suggest_int(name, 1, 9) for name in names}
        kept = trial.suggest_categorical("pruning.kept", [0.01, 1.0])  # which is nobody's saving
        return Genotype("wide", "small", {**chosen, "kept": kept})

    def cost(genotype: Genotype) -> Mapping[str, float]:
        widths = genotype.architecture
        return {"macs": widths["kept"] * widths["width7"] * (100.0 + sum(widths.values()))}

    ground = Ground(AXES, wide, cost, start=dict.fromkeys(names, 9))
    found = Relatives(SamplerContext(ground, seed=3)).some(100, random.Random(0))
    lowered = {name: sum(each[name] < 9 for each in found) for name in names}
    assert lowered.pop("width7") > 1.5 * max(lowered.values())


def test_what_the_start_leaves_open_is_drawn() -> None:
    assert {each["pruning.ratio"] for each in relatives(START)} == {0, 0.3, 0.6}


def test_none_is_there_twice_and_none_without_a_start() -> None:
    found = relatives(START)
    assert len({repr(each) for each in found}) == len(found)
    assert relatives(None) == []


def search(folder: Path, start: Mapping[str, Any] | None, count: int) -> list[Record]:
    def make(seed: int) -> GuidedSampler:
        return GuidedSampler()

    asked = Proposer(folder / "journal", Ground(AXES, draw, start=start), make, seed=0)
    for _ in range(count):
        proposal = asked.propose()
        assert proposal is not None
        record = Record(proposal.number, proposal.genotype, "feasible", choices=proposal.choices)
        asked.tell(replace(record, values={"accuracy": 0.5}, curve=(0.5,)))
    return list(asked.records.values())


@pytest.mark.parametrize(("start", "own"), [(START, True), (None, False)])
def test_a_search_begins_with_them(
    start: Mapping[str, Any] | None, own: bool, tmp_path: Path
) -> None:
    activations = {record.choices["activation"] for record in search(tmp_path, start, 10)}
    assert (activations == {"relu"}) is own


def test_a_search_goes_on_beyond_them(tmp_path: Path) -> None:
    records = search(tmp_path, START, 40)
    assert {record.choices["activation"] for record in records} > {"relu"}
