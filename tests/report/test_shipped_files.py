"""A finalist's card in the report: its files step by step, each with figures of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_search import study, with_files

from orchestrator.report import build_report
from orchestrator.report.figures import payload


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


def test_the_file_that_leads_on_each_device_is_told() -> None:
    data = with_files(study())
    leads = {"here": "openvino.int8", "pi": "fp32"}
    data.finalists[0] = replace(data.finalists[0], leads=leads)
    rows = payload(data)["finalists"][0]["files"]
    assert {row["label"]: row["leads_on"] for row in rows} == {
        "fp32": ["pi"],
        "openvino.int8": ["here"],
    }


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
