"""A finalist's card in the report: its files step by step, each with figures of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from made_search import study

from orchestrator.records import Finalist, Latency, Record, ShippedFile
from orchestrator.report import ReportData, build_report
from orchestrator.report.figures import payload

TIMED = Latency(0.4, 0.5, 0.41, 0.45, 0.9, 60, low_ratio=0.49, high_ratio=0.52)
INT8 = ShippedFile(
    "openvino.int8",
    "openvino",
    "models/a/model.openvino.xml",
    "openvino",
    4321,
    steps=("pruning", "quantization"),
    agreement=0.991,
    latencies={"here": TIMED},
    marks=("quantization cost 2.3 points of accuracy",),
    recommended=True,
    verified=True,
    picks=("lowest latency_ms",),
    reached=0.95,
    before="fp32",
    macs=2.5e6,
)
FLOAT = dataclasses.replace(INT8, label="fp32", runtime="onnxruntime", steps=("pruning",))
FLOAT = dataclasses.replace(FLOAT, agreement=None, picks=(), marks=(), recommended=False)


def with_files(data: ReportData) -> ReportData:
    """The search, its first finalist with two files, every third candidate on OpenVINO."""
    first = next(r for r in data.records if r.outcome == "feasible")
    file = dataclasses.replace(INT8, number=first.number)
    figures = {"test_accuracy": 0.95, "test_images": 400, "latency_ms": 0.4, "size_bytes": 4321}
    entry = Finalist("0001-a", figures=figures, files=(FLOAT, file), label="openvino.int8")
    plan = {**data.plan, "device": {"here": {"name": "onnxruntime"}}}
    records = [_on(record, "openvino" if record.number % 3 else "") for record in data.records]
    return dataclasses.replace(data, finalists=[entry], plan=plan, records=records)


def _on(record: Record, runtime: str) -> Record:
    genotype = dataclasses.replace(record.genotype, runtime=runtime)
    return dataclasses.replace(record, genotype=genotype)


def test_each_file_has_a_row_of_its_own_figures() -> None:
    card = payload(with_files(study()))["finalists"][0]
    first, second = card["files"]
    assert second["steps"] == "trained → pruning → quantization"
    assert second["cells"] == [
        "95.0 % (92.4 to 96.7)",
        "0.4 ms (0.392 to 0.416)",
        "4.32 kB",
        "2.5 M",
        "99.1 %",
    ]
    assert (first["cells"][-1], first["recommended"]) == ("exact", False)
    assert (first["leads"], second["leads"], card["numbers"]) == (False, True, [1])
    assert "0.5 × the reference network" in second["clock"][0]
    assert [figure["label"] for figure in card["figures"]] == ["test images"]


def test_a_candidate_says_its_runtime_and_steps() -> None:
    rows = payload(with_files(study()))["records"]
    assert rows[1]["made"].startswith("openvino: trained")
    assert rows[0]["runtime"] == "onnxruntime"


def test_a_reader_sees_the_files_and_the_runtimes(tmp_path: Path) -> None:
    browser = pytest.importorskip("browser", reason="a browser is driven by selenium")
    build_report(tmp_path / "report.html", with_files(study(26)))
    with browser.started(tmp_path / "profile") as chrome:
        page = browser.Page(chrome, tmp_path / "report.html")
        rows = [row.text for row in page.all(".files tr")]
        assert "★ openvino.int8" in rows[2] and "0.4 ms (0.392 to 0.416)" in rows[2]
        assert "Lowest latency" in rows[3] and "cost 2.3 points" in rows[3]
        names = page.run("return document.querySelector('#front .plot').data.map((t) => t.name)")
        assert {"On the front, openvino", "On the front, onnxruntime"} <= set(names)
        assert page.errors() == []
