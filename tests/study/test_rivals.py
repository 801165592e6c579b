"""Rivals that are left out never change whether a training ends early."""

from __future__ import annotations

import random
from typing import Any

import pytest

from orchestrator.config import EarlyStopConfig, TrainConfig
from orchestrator.contracts import Axis
from orchestrator.records import Genotype, Record
from orchestrator.study.rivals import Rivals
from orchestrator.training.epochs import hopeless

AXES = [Axis("macs", "", "minimize", 9.0), Axis("speed", "", "maximize", 0.0)]
EPOCHS = 6


def finished(dice: random.Random, number: int, *, coarse: bool) -> Record:
    """A candidate that cost something and learnt something; coarse ones are often alike."""
    digits = 1 if coarse else 6
    size = dice.random()
    values = {"macs": round(size, digits), "speed": round(1 - size + 0.2 * dice.random(), digits)}
    length = EPOCHS if dice.random() < 0.9 else dice.randint(0, 3)
    level = 0.6 + 0.2 * size + 0.2 * dice.random()
    gained = (level * (1 - 0.5**epoch) + 0.02 * dice.random() for epoch in range(1, length + 1))
    curve = tuple(round(reached, digits) for reached in gained)
    return Record(number, Genotype("toy", "small", {}), "feasible", values, curve=curve)


def stops(
    rivals: list[list[Any]], new: Record, train: TrainConfig, known: list[Axis]
) -> list[bool]:
    """At each epoch, whether `new` is given up, as an evaluation decides it."""
    curves = [
        tuple(curve)
        for values, curve in rivals
        if all(axis.sign * (values[axis.name] - new.values[axis.name]) >= 0 for axis in known)
    ]
    return [
        hopeless(epoch, reached, train.epochs, curves, train.early_stop)
        for epoch, reached in enumerate(new.curve, 1)
    ]


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("wanted", [1, 2, 3])
@pytest.mark.parametrize("after", [0.01, 0.5, 0.8])
def test_what_is_left_out_changes_nothing(coarse: bool, wanted: int, after: float) -> None:
    dice = random.Random(f"{coarse}{wanted}{after}")
    stop = EarlyStopConfig(after=after, rivals=wanted, margin=0.0)
    train = TrainConfig(epochs=EPOCHS, early_stop=stop)
    compared, everyone = Rivals(AXES, train), list[Record]()
    stopped = 0
    for number in range(250):
        new = finished(dice, number, coarse=coarse)
        everything = [[dict(r.values), list(r.curve)] for r in everyone]
        told = compared.told(everyone)
        for known in (AXES, AXES[:1], []):
            expected = stops(everything, new, train, known)
            assert stops(told, new, train, known) == expected
            stopped += any(expected)
        everyone.append(new)
    assert stopped > 20
    assert len(told) < len(everyone) / 2


def test_another_list_is_looked_at_anew() -> None:
    train = TrainConfig(epochs=EPOCHS)
    compared, dice = Rivals(AXES, train), random.Random(0)
    first = [finished(dice, number, coarse=False) for number in range(9)]
    before = compared.told(first)
    assert compared.told(first[:3]) == Rivals(AXES, train).told(first[:3]) != before


@pytest.mark.parametrize(
    "train", [TrainConfig(epochs=1), TrainConfig(early_stop=EarlyStopConfig(rivals=0))]
)
def test_nobody_is_compared_where_nothing_can_end_early(train: TrainConfig) -> None:
    dice = random.Random(0)
    assert Rivals(AXES, train).told([finished(dice, n, coarse=False) for n in range(9)]) == []
