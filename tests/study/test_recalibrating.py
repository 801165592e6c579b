"""Figures of two calibrations are told in units of one of them, or it is said why they cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator import Budget, Finalist, Genotype, Latency, Record, ShippedFile
from orchestrator.analysis.remeasured import Again, Remeasured
from orchestrator.errors import RunError
from orchestrator.study.recalibrating import Recalibration, judged

UNITS = {"latency_ms": "ms", "throughput": "images/s", "peak_memory": "bytes", "p95": "ms"}
# Its reference network took 2 ms here, and takes 3 ms there.
SLOWER = Recalibration(
    {"here": 2.0, "here.other": 2.0}, {"here": 3.0, "here.other": 3.0},
    dict.fromkeys(UNITS, "here"), UNITS,
)  # fmt: skip
LATENCY = Latency(ms=10.0, ratio=5.0, low_ms=9.0, median_ms=9.5, high_ms=12.0, runs=20)


def record(**values: float) -> Record:
    known = {"latency_ms": 10.0, "accuracy": 0.9, **values}
    genotype = Genotype("s", "p", {})
    return Record(0, genotype, "feasible", known, latencies={"here": LATENCY})


def test_a_latency_is_its_ratio_to_the_other_reference() -> None:
    found = SLOWER.record(record())
    assert found.values == {"latency_ms": 15.0, "accuracy": 0.9}
    assert found.latencies["here"] == replace(LATENCY, ms=15.0)
    assert found.latencies["here"].high_ms == LATENCY.high_ms  # the raw clock is what it was


def test_what_does_not_go_by_the_reference_stays_and_rates_fall() -> None:
    found = SLOWER.record(record(peak_memory=1e6, throughput=300.0, macs=7.0)).values
    assert found["peak_memory"] == 1e6 and found["macs"] == 7.0
    assert found["throughput"] == pytest.approx(200)


def test_of_two_runtimes_each_has_its_own_reference() -> None:
    units = replace(SLOWER, old={"here": 2.0, "here.b": 4.0}, new={"here": 2.0, "here.b": 8.0})
    other = replace(LATENCY, ms=20.0)  # by a reference of 4 ms
    told = replace(record(), values={"latency_ms": 20.0}, latencies={"here": other})
    assert units.record(told).values["latency_ms"] == 40.0
    assert units.record(record()) == record()


def test_what_was_kept_before_latencies_were_is_scaled_too() -> None:
    assert SLOWER.record(replace(record(), latencies={})).values["latency_ms"] == 15.0


def test_a_sum_of_a_table_has_the_table_s_calibration() -> None:
    tabled = replace(SLOWER, tabled=frozenset(["latency_ms"]))
    told = replace(record(), latencies={})
    assert tabled.record(told) == told


@pytest.mark.parametrize(
    ("told", "match"),
    [
        (record(p95=11.0), r"objective\.p95 .* not the latency that was kept"),
        (replace(record(), latencies={"here": replace(LATENCY, ratio=4.0)}), r"network of 2\.5 ms"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(told: Record, match: str) -> None:
    with pytest.raises(RunError, match=match):
        SLOWER.record(told)


def test_the_same_calibration_changes_nothing() -> None:
    same = replace(SLOWER, new=SLOWER.old)
    assert not same.changes and same.record(record(p95=11.0)) == record(p95=11.0)


def test_finalists_and_what_was_measured_again_go_along() -> None:
    file = ShippedFile("fp32", "onnxruntime", "f", "onnx", 1, values={"latency_ms": 10.0},
                       validated={"latency_ms": 10.0}, latencies={"here": LATENCY})  # fmt: skip
    finalist = Finalist("0", values={"latency_ms": 10.0}, files=(file,), label="fp32")
    found = SLOWER.finalist(finalist)
    assert found.values["latency_ms"] == found.files[0].validated["latency_ms"] == 15.0
    again = Remeasured({0: Again({"here": LATENCY}, {"latency_ms": 10.0})}, pairs=1)
    assert SLOWER.remeasured(again).found[0].values == {"latency_ms": 15.0}


@pytest.mark.parametrize(
    ("changes", "limit", "outcome"),
    [
        ({}, 12.0, "feasible"),
        ({}, 9.0, "rejected"),
        ({"outcome": "rejected", "extra": {"trained": True}}, 12.0, "feasible"),
        ({"outcome": "rejected"}, 12.0, "rejected"),  # nobody knows how good it is
        ({"outcome": "failed"}, 9.0, "failed"),
    ],
)
def test_budgets_are_judged_by_the_new_figures(
    changes: dict[str, Any], limit: float, outcome: str
) -> None:
    told = replace(record(), violations={"latency_ms": 1.0}, **changes)
    found = judged(told, {"latency_ms": Budget(max=limit)})
    assert found.outcome == outcome
    if outcome == "rejected":
        assert found.violations == {"latency_ms": 1.0}
