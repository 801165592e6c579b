"""What guided makes of earlier searches: it begins with them, and believes itself in the end."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orchestrator_guided.prior import borne_out
from orchestrator_guided.process import Observations, Process
from orchestrator_guided.sampler import GuidedSampler

from orchestrator import Axis, Earlier, Genotype, Ground, Record, Trial
from orchestrator.analysis import pareto
from orchestrator.search.proposer import Proposer

AXES = (Axis("accuracy", "share", "maximize", 0.1), Axis("cost", "", "minimize", 17.0))
PRICE = {"light": 0.35, "plain": 1.0, "heavy": 1.9}


def draw(trial: Trial) -> Genotype:
    return Genotype(
        "row", "small", {f"p{i}": trial.suggest_categorical(f"p{i}", list(PRICE)) for i in range(8)}
    )


def static(genotype: Genotype) -> dict[str, float]:
    return {"cost": 1.5 + sum(PRICE[kind] for kind in genotype.architecture.values())}


def exact(genotype: Genotype) -> dict[str, float]:
    """What an operator brings depends on its place, and on the one before it."""
    row = list(genotype.architecture.values())
    luck = [
        (7 * place + 3 * len(kind) * ord(before[0])) % 11 / 11
        for place, (before, kind) in enumerate(zip(["s", *row[:-1]], row, strict=True))
    ]
    worth = sum(
        PRICE[kind] ** 0.5 * (0.35 + 0.6 * lucky) for kind, lucky in zip(row, luck, strict=True)
    )
    return {**static(genotype), "accuracy": 0.95 - 0.75 * math.exp(-worth / 3)}


def searched(folder: Path, count: int, **given: Any) -> list[Record]:
    """Candidates of a search of its own, in their order; `known` are evaluations."""
    folder.mkdir()
    known, seed = given.pop("known", ()), given.pop("seed", 0)
    ground = Ground(AXES, draw, static)
    made = lambda _: GuidedSampler()  # noqa: E731
    asked = Proposer(folder / "journal", ground, made, seed=seed, **given)
    asked.take_over(known)
    own: list[Record] = []
    while len(own) < count and (proposal := asked.propose()) is not None:
        values = exact(proposal.genotype)
        own.append(Record(proposal.number, proposal.genotype, "feasible", values, proposal.choices))
        asked.tell(own[-1])
    return own


def volume(records: list[Record]) -> float:
    return pareto.hypervolume([exact(r.genotype) for r in records], AXES)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return searched(tmp_path_factory.mktemp("before") / "run", 20, seed=5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return searched(tmp_path_factory.mktemp("alone") / "run", 12)


def test_a_search_with_evaluations_starts_better(
    before: list[Record], alone: list[Record], tmp_path: Path
) -> None:
    known = [replace(record, earlier="before") for record in before]
    own = searched(tmp_path / "b", 6, known=known)
    assert volume([*known, *own]) > volume(alone)
    assert volume([*known, *own]) > volume(known)


def test_a_search_with_a_prior_of_other_images_starts_better(
    before: list[Record], alone: list[Record], tmp_path: Path
) -> None:
    other = [
        replace(r, values={**r.values, "accuracy": 0.2 + 0.5 * r.values["accuracy"]})
        for r in before
    ]
    given = [Earlier("before", other, ("data",), frozenset({"cost"}))]
    own = searched(tmp_path / "b", 12, earlier=given)
    assert volume(own) > volume(alone) + 0.02


def test_accuracies_of_another_device_are_evidence_like_one_s_own(
    before: list[Record], alone: list[Record], tmp_path: Path
) -> None:
    given = [Earlier("before", before, ("device",), frozenset({"accuracy", "cost"}))]
    own = searched(tmp_path / "b", 12, earlier=given)
    assert volume(own) > volume(alone) + 0.02
    assert {r.genotype.key for r in own} & {r.genotype.key for r in before}  # they may be proposed


class Line:
    """A prior that is told what it means."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def mean(self, codes: np.ndarray) -> np.ndarray:
        return self.slope * codes[:, 0]

    def weight(self, told: Observations) -> float:
        return borne_out(self.mean(told.codes), told.values, 1.0)


@pytest.mark.parametrize(("slope", "share"), [(1.0, 1.0), (-1.0, 0.0)])
def test_a_prior_counts_as_far_as_observations_bear_it_out(slope: float, share: float) -> None:
    codes = np.linspace(0, 4, 40)[:, None]
    told = Observations(codes, np.zeros((40, 0)), codes[:, 0], np.zeros(40), ["x"])
    line = Line(slope)
    assert line.weight(told.rows(np.arange(1))) == 1.0
    assert line.weight(told) == pytest.approx(share, abs=0.15)
    process = Process(prior=line)
    process.learn(told)
    process.see(told)
    assert process.expect(codes, np.zeros((40, 0))) == pytest.approx(codes[:, 0], abs=0.1)
