from __future__ import annotations

import dataclasses
import json
import re

import pytest

from orchestrator.contracts.objective import Axis
from orchestrator.faults.printable import printable
from orchestrator.records import Credit, Genotype, Record
from orchestrator.report import ReportData, build_report

ACCURACY = Axis("accuracy", "share", "maximize", reference=0.0)
HOSTILE = "</script><img src=x onerror=alert(1)>{{plotly}}&\u2028"


def page_of(tmp_path, data):
    build_report(tmp_path / "report.html", data)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def payload_of(page):
    found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.S)
    return json.loads(found[1], parse_constant=pytest.fail)


def test_the_report_is_one_file_below_eight_megabytes_that_loads_nothing(tmp_path, search):
    page = page_of(tmp_path, search)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert len(page.encode()) < 8e6
    assert "default-src 'none'" in page
    assert not re.search(r"<script[^>]+src=|<link", page)
    assert "Plotly.react" in page


def test_the_first_sentence_of_the_summary_leads(tmp_path, search):
    page = page_of(tmp_path, search)
    assert re.search(r"<h1>Candidate \d+ is recommended: .* within 6 ms and 1.5 MB\.</h1>", page)
    assert "40 candidates are on the front.</p>" in page


def test_a_hostile_text_stays_a_text(tmp_path):
    record = Record(
        0, Genotype("toy", "small", {}), "failed", choices={HOSTILE: HOSTILE}, error=HOSTILE
    )
    data = ReportData(HOSTILE, HOSTILE, [record], [ACCURACY], command=HOSTILE)
    page = page_of(tmp_path, data)
    assert "<img" not in page.replace('"<img', "")
    assert payload_of(page)["losses"]["failed"][0]["error"] == printable(HOSTILE)
    assert payload_of(page)["command"] == HOSTILE


def test_numbers_that_json_lacks_become_nothing(tmp_path):
    values = {"accuracy": float("nan"), "extra_ms": float("inf")}
    record = Record(0, Genotype("toy", "small", {}), "feasible", values)
    data = ReportData("t", "s", [record], [ACCURACY], reported=[("extra_ms", "ms")])
    row = payload_of(page_of(tmp_path, data))["records"][0]
    assert row["figures"] == [None, None]
    assert row["texts"] == ["", ""]


@pytest.mark.parametrize("kept", ["nothing", "feasible", "lost", "no axes", "no finalists"])
def test_any_part_may_be_missing(tmp_path, search, kept):
    feasible = [r for r in search.records if r.outcome == "feasible"]
    lost = [r for r in search.records if r.outcome != "feasible"]
    data = {
        "nothing": ReportData("t", "", [], []),
        "feasible": dataclasses.replace(search, records=feasible[:1], axes=[ACCURACY]),
        "lost": dataclasses.replace(search, records=lost, finalists=[]),
        "no axes": dataclasses.replace(search, axes=[]),
        "no finalists": dataclasses.replace(search, finalists=[]),
    }[kept]
    assert payload_of(page_of(tmp_path, data))["total"] == len(data.records)


def test_a_report_is_replaced(tmp_path, search):
    page_of(tmp_path, ReportData("first", "", [], []))
    assert "<title>efficientformer on digits</title>" in page_of(tmp_path, search)


def test_starting_weights_are_credited_at_the_top(tmp_path, search):
    told = ("toy/<t1>", "hf://toys/t1.pth", "ab" * 32, Credit.UNKNOWN, "Somebody", "ImageNet", "t")
    credit = Credit(*told, part="all of it, without the classifier", checked=False)
    page = page_of(tmp_path, dataclasses.replace(search, start=credit))
    header = page.split("<header>")[1].split("</header>")[0]
    for text in ("toy/&lt;t1&gt;", "hf://toys/t1.pth", "ab" * 32, "⚠ unknown", "not checked"):
        assert text in header
    assert 'id="credit"' not in page_of(tmp_path, search)
