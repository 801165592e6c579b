"""Which candidates cannot be told apart by latency, and what a session of all of them changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.analysis.remeasured import Again, Remeasured, close_pairs
from orchestrator.errors import RunError
from orchestrator.records import Genotype, Latency, Record

AXES = {"latency_ms": "here"}


def timed(ms: float, reach: float = 0.02) -> Latency:
    """A latency known to within a share."""
    return Latency(ms, ms, ms, ms, ms, 60, low_ratio=ms * (1 - reach), high_ratio=ms * (1 + reach))


def record(number: int, ms: float, reach: float = 0.02, network: int | None = None) -> Record:
    made = Genotype("toy", "small", {"width": number})
    values = {"accuracy": 0.5, "latency_ms": ms}
    known = {"here": timed(ms, reach)}
    return Record(number, made, "feasible", values, latencies=known, network=network)


def numbers(records: list[Record], most: int = 9) -> list[tuple[int, int]]:
    return [(a.number, b.number) for a, b in close_pairs(records, AXES, most)[0]]


def test_latencies_whose_intervals_overlap_are_close_the_closest_first() -> None:
    assert numbers([record(0, 1.0), record(1, 1.03), record(2, 1.2), record(3, 1.21)]) == [
        (2, 3),
        (0, 1),
    ]


def test_variants_of_one_training_were_measured_together_already() -> None:
    assert numbers([record(0, 1.0), record(1, 1.0, network=0)]) == []


def test_a_latency_without_an_interval_is_close_to_every_other() -> None:
    unknown = replace(record(1, 9.0), latencies={"here": replace(timed(9.0), low_ratio=None)})
    assert numbers([record(0, 1.0), unknown]) == [(0, 1)]


def test_too_many_for_a_session_are_counted() -> None:
    many = [record(0, 1.0), record(1, 1.001), record(2, 1.005), record(3, 1.01)]
    kept, beyond = close_pairs(many, AXES, 2)
    assert [(a.number, b.number) for a, b in kept] == [(0, 1)] and beyond == 5


def test_what_was_measured_together_takes_the_place_of_what_was_known() -> None:
    again = Remeasured({1: Again({"here": timed(0.9)}, {"latency_ms": 0.9})})
    first, second = again.applied([record(0, 1.0), record(1, 1.0)])
    assert first.values["latency_ms"] == 1.0 and second.values["latency_ms"] == 0.9
    assert second.latencies["here"] == timed(0.9) and second.outcome == "feasible"


def test_a_candidate_that_then_breaks_a_budget_is_rejected_with_the_reason() -> None:
    again = Again({"here": timed(1.1)}, {"latency_ms": 1.1}, {"latency_ms": 0.1})
    (found,) = Remeasured({0: again}).applied([record(0, 1.0)])
    assert found.outcome == "rejected" and found.violations == {"latency_ms": 0.1}
    assert found.reason == "measured again, it breaks the budget of latency_ms"


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert Remeasured.read(tmp_path) == Remeasured()
    kept = Remeasured({3: Again({"here": timed(1.0)}, {"latency_ms": 1.0})}, 4, 1, 2)
    kept.write(tmp_path)
    assert Remeasured.read(tmp_path) == kept
    assert kept.sentence.startswith("4 pairs on the front") and "2 more" in kept.sentence


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "measured_again.json").write_text('{"format": 1, "found": {"x": 1}}')
    with pytest.raises(RunError, match=r"measured_again\.json is damaged"):
        Remeasured.read(tmp_path)
