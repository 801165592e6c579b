"""What a larger budget would buy is read off the curve so far."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator import Axis, Genotype, Record
from orchestrator.analysis.more_budget import gain_of_doubling, rise

AXES = (Axis("accuracy", "share", "maximize", 0.0),)


def record(number: int, accuracy: float, network: int | None = None) -> Record:
    genotype = Genotype("toy", "small", {"widths": [number]})
    values = {"accuracy": accuracy}
    return Record(number, genotype, outcome="feasible", values=values, network=network)


def test_the_curve_has_a_point_for_each_training_with_its_variants() -> None:
    records = [record(0, 0.3), record(1, 0.5, network=0), record(2, 0.4)]
    assert rise(records, AXES) == pytest.approx([0.5, 0.5])


def test_what_earlier_runs_knew_is_where_the_curve_begins() -> None:
    known = [replace(record(number, 0.6), earlier="first") for number in range(3)]
    assert rise([*known, record(3, 0.5), record(4, 0.7)], AXES) == pytest.approx([0.6, 0.7])


def test_a_curve_of_a_known_law_is_extended_by_it() -> None:
    curve = [0.9 - 0.5 / n for n in range(1, 41)]
    found = gain_of_doubling(curve)
    assert found is not None
    assert found.expected == pytest.approx(0.5 / 40 - 0.5 / 80, rel=0.01)
    assert found.least <= found.expected <= found.most


def test_a_flat_curve_promises_nothing() -> None:
    found = gain_of_doubling([0.8] * 30)
    assert found is not None and found.most == pytest.approx(0.0, abs=1e-9)
    assert "by about 0.000" in found.sentence


def test_of_few_trainings_nothing_is_told() -> None:
    assert gain_of_doubling([0.1, 0.5, 0.6]) is None
