from __future__ import annotations

import dataclasses

from orchestrator.analysis.display import human
from orchestrator.analysis.pareto import hypervolume
from orchestrator.records import Finalist, Genotype, Record
from orchestrator.report import ReportData, figures
from orchestrator.report.figures import payload


def test_the_payload_knows_front_and_hypervolume(search):
    shown = payload(search)
    feasible = [r for r in search.records if r.outcome == "feasible"]
    volume = hypervolume([r.values for r in feasible], search.axes)
    assert set(shown["front"]) <= {r.number for r in feasible}
    assert abs(shown["history"][-1]["volume"] - volume) < 1e-9
    assert len(shown["history"]) == len(search.records)
    assert shown["history"][-1]["minutes"] > 0


def test_columns_are_objectives_then_what_is_only_reported(search):
    columns = payload(search)["columns"]
    assert [c["name"] for c in columns][-2:] == ["params", "memory_bytes"]
    assert columns[1]["budget"] == "≤ 6 ms"
    assert columns[-1]["direction"] == ""


def test_texts_carry_units_and_unasked_choices_are_none(search):
    shown = payload(search)
    row = next(r for r in shown["records"] if r["outcome"] == "feasible")
    assert row["texts"][0].endswith(" %")
    assert row["texts"][1].endswith(" ms")
    heads = shown["choices"].index("phases.3.heads")
    assert any(r["choices"][heads] is None for r in shown["records"])


def test_the_tiles_say_the_key_figures(search):
    tiles = {tile["label"]: tile for tile in payload(search)["tiles"]}
    assert tiles["candidates"]["value"] == "40"
    assert "rejected" in tiles["candidates"]["note"]
    assert tiles["lowest latency"]["note"].endswith("budget ≤ 6 ms")


def test_variants_of_a_training_are_no_candidates_more(search):
    first = search.records[0]
    variant = dataclasses.replace(first, number=99, network=first.number)
    several = dataclasses.replace(search, records=[*search.records, variant])
    tiles = {tile["label"]: tile for tile in payload(several)["tiles"]}
    assert tiles["candidates"]["value"] == "40"
    assert tiles["candidates"]["note"].startswith("41 variants · ")


def test_losses_are_gathered_by_reason(search):
    lost = payload(search)["losses"]
    assert lost["rejected"][0]["text"].startswith("latency over budget, by ")
    assert [group["count"] for group in lost["failed"]] == [2]
    assert lost["failed"][0]["step"] == "compile"
    assert lost["failed"][0]["text"].startswith("CompileError: <Attention>")
    assert lost["failed"][0]["error"].startswith("Traceback")


def test_a_finalist_shows_what_compression_changed(search):
    card = payload(search)["finalists"][0]
    assert [pair["label"] for pair in card["pairs"]] == ["test accuracy", "latency", "size"]
    assert card["pairs"][1]["verdict"] == "1.9× faster"
    assert card["pairs"][0]["good"] is None
    assert card["picks"][0] == "best under budget"
    assert [figure["label"] for figure in card["figures"]] == ["parameters", "MACs"]


def test_a_slower_or_worse_finalist_is_told_so():
    names = {"latency_ms": 4.0, "latency_fp32_ms": 2.0, "accuracy": 0.8, "accuracy_fp32": 0.9}
    data = ReportData("t", "", [], [], finalists=[Finalist("a", figures=names)])
    pairs = payload(data)["finalists"][0]["pairs"]
    assert [pair["verdict"] for pair in pairs] == ["2.0× slower", "−10.0 points"]
    assert [pair["good"] for pair in pairs] == [False, False]


def test_a_long_search_is_cut_to_front_finalists_and_latest(search, monkeypatch):
    monkeypatch.setattr(figures, "MOST_RECORDS", 25)
    shown = payload(search)
    numbers = {row["number"] for row in shown["records"]}
    assert len(numbers) == 25
    assert set(shown["front"]) | {entry.number for entry in search.finalists} <= numbers
    assert shown["total"] == 40


def test_nested_plans_become_dotted_facts(search):
    groups = {group["name"]: group["rows"] for group in payload(search)["plan"]}
    assert ["early_stop.after", "0.5"] in groups["train"]
    assert ["minutes", "none"] in groups["budget"]
    assert ["compressors", "distillation, pruning, quantization"] in groups[""]


def test_reported_figures_are_found_in_extra_too(plain_record):
    record = dataclasses.replace(plain_record, extra={"energy_mj": 2.5, "nested": {"runs": 60}})
    row = payload(ReportData("t", "", [record], [], reported=[("energy_mj", "mJ")]))["records"][0]
    assert row["texts"] == ["2.5 mJ"]
    assert ["nested.runs", "60"] in row["extra"]


def test_a_rejection_without_violations_gives_its_reason():
    record = Record(0, Genotype("toy", "small", {}), "rejected", reason="seen before")
    shown = payload(ReportData("t", "", [record], []))
    assert shown["records"][0]["why"] == "seen before"
    assert shown["losses"]["rejected"][0]["text"] == "seen before"


def test_a_finalist_shows_its_classes_and_pictures():
    png = "data:image/png;base64,AAAA"
    entry = Finalist(
        "a",
        classes={"cat": {"count": 40, "iou": 0.5}, "dog": {"count": 2, "iou": float("nan")}},
        colours={"cat": "#800000", "dog": "red;}"},
        pictures=({"image": png, "truth": png, "answer": "http://elsewhere/a.png"},),
    )
    card = payload(ReportData("t", "", [], [], finalists=[entry]))["finalists"][0]
    assert card["classes"]["heads"] == ["count", "IoU"]
    assert card["classes"]["rows"] == [
        {"name": "cat", "colour": "#800000", "cells": ["40", "50.0 %"]},
        {"name": "dog", "colour": "", "cells": ["2", "–"]},
    ]
    assert card["pictures"] == [[{"label": "image", "uri": png}, {"label": "truth", "uri": png}]]


def test_what_earlier_runs_had_paid_for_is_told_apart(search):
    own, other = search.records[:-10], search.records[-10:]
    known = [dataclasses.replace(record, earlier="first run") for record in other]
    shown = payload(dataclasses.replace(search, records=[*own, *known]))
    tiles = {tile["label"]: tile for tile in shown["tiles"]}
    assert tiles["candidates"]["value"] == "30"
    assert (tiles["of earlier runs"]["value"], tiles["of earlier runs"]["note"]) == (
        "10",
        "first run",
    )
    origins = {row["number"]: row["origin"] for row in shown["records"]}
    assert all(origins[record.number].startswith("first run: ") for record in other)
    spent = sum(record.seconds for record in own)
    assert tiles["evaluation"]["value"] == human(spent, "s")


def test_what_a_larger_budget_would_buy_is_in_the_page(search):
    shown = payload(dataclasses.replace(search, outlook="Twice as many would add 0.01."))
    assert shown["outlook"] == "Twice as many would add 0.01."
