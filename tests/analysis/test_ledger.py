"""What is counted record by record is what counting all of them gives."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from orchestrator.analysis import pareto
from orchestrator.analysis.ledger import Ledger
from orchestrator.contracts import Axis
from orchestrator.records import OUTCOMES, Genotype, Record, count_outcomes


def axes(count: int) -> list[Axis]:
    rising = [index % 2 == 0 for index in range(count)]
    return [
        Axis(f"a{index}", "", "maximize" if up else "minimize", 0.0 if up else 1.0)
        for index, up in enumerate(rising)
    ]


def record(dice: random.Random, number: int, names: list[str], digits: int) -> Record:
    values = {name: round(dice.uniform(-0.1, 1.0), digits) for name in names}
    if dice.random() < 0.05:
        values.pop(names[0])
    outcome: Any = dice.choice([*OUTCOMES, "feasible", "feasible"])
    return Record(number, Genotype("toy", "small", {}), outcome, values)


@pytest.mark.parametrize("digits", [1, 9])
@pytest.mark.parametrize("dimensions", [1, 2, 3, 4, 5])
def test_figures_are_the_very_same_as_those_of_all_records(dimensions: int, digits: int) -> None:
    searched, dice = axes(dimensions), random.Random(dimensions)
    ledger, records = Ledger(searched), list[Record]()
    for number in range(60 if dimensions > 4 else 200):
        records.append(record(dice, number, [axis.name for axis in searched], digits))
        ledger.add(records[-1])
        feasible = [r for r in records if r.outcome == "feasible"]
        points = [r.values for r in feasible]
        volume = pareto.hypervolume(points, searched)
        assert ledger.hypervolume == pytest.approx(volume, rel=1e-12)  # another sum
        assert ledger.front == [feasible[index] for index in pareto.front(points, searched)]
    assert ledger.counts == count_outcomes(records)
    assert ledger.paid == sum(r.paid for r in records)
    assert ledger.front_size == len(ledger.front)
    for axis in searched:
        known = [r.values[axis.name] for r in ledger.feasible if axis.name in r.values]
        assert ledger.best[axis.name] == (max if axis.sign > 0 else min)(known)
    assert Ledger(searched, records).front == ledger.front


def test_ten_thousand_records_cost_alike_from_first_to_last() -> None:
    searched, dice = axes(3), random.Random(0)
    ledger, seconds = Ledger(searched), list[float]()
    for part in range(5):
        new = [record(dice, part, ["a0", "a1", "a2"], 9) for _ in range(2000)]
        start = time.perf_counter()
        for item in new:
            ledger.add(item)
            assert ledger.hypervolume >= 0 and ledger.front_size >= 0 and ledger.paid >= 0
        seconds.append(time.perf_counter() - start)
    # The front grows slowly; all records anew would be nine times as slow in the last part.
    assert seconds[-1] < 4 * seconds[0] + 0.5
