from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import FinishedRun

from orchestrator.analysis import pareto
from orchestrator.analysis.display import human
from orchestrator.cli.commands import main
from orchestrator.contracts import Axis
from orchestrator.errors import BudgetError, ConfigError
from orchestrator.records import Finalist, Latency, ShippedFile
from orchestrator.study import Study, load
from orchestrator.study.picking import choose, picked


@pytest.fixture(scope="module")
def study(finished_run: FinishedRun) -> Study:
    return load(finished_run.folder)


def test_candidates_of_the_search_answer_where_no_finalist_does(study: Study) -> None:
    study.finalists, kept = [], study.finalists
    try:
        entries = choose(study, {}, {})
    finally:
        study.finalists = kept
    assert {entry["id"] for entry in entries} <= {record.id for record in study.feasible}
    assert not any(entry["folder"] for entry in entries)
    labels = [label for entry in entries for label in entry["picks"]]
    assert "most accurate" in labels and "knee" in labels


def test_limits_are_kept_and_the_rest_is_no_worse(study: Study) -> None:
    smallest = min(record.values["macs"] for record in study.feasible)
    entries = choose(study, {"macs": smallest}, {})
    assert entries
    assert all(entry["values"]["macs"] <= smallest for entry in entries)
    for entry in entries:
        values = [other["validated"] for other in entries]
        assert not any(pareto.dominates(v, entry["validated"], study.axes) for v in values)


def test_a_candidate_that_was_shipped_is_told_by_its_file(study: Study) -> None:
    shipped = {file.number for each in study.finalists for file in each.files}
    shipped |= {each.number for each in study.finalists}
    offered = [entry["validated"] for entry in choose(study, {}, {})]
    with pytest.raises(BudgetError) as caught:
        choose(study, {"latency_ms": 0.0}, {})
    others = [r.values for r in study.feasible if r.number not in shipped]
    files = [f.decisive for each in study.finalists for f in each.files if f.recommended]
    least = min(values["latency_ms"] for values in (*others, *files))
    assert offered and f"its smallest latency_ms is {human(least, 'ms')}" in str(caught.value)


def test_an_unknown_objective_is_told_what_there_is(study: Study) -> None:
    with pytest.raises(ConfigError, match="did you mean 'latency_ms'"):
        choose(study, {"latency": 1.0}, {})


def test_limits_that_nothing_keeps_tell_the_nearest(study: Study) -> None:
    with pytest.raises(BudgetError, match=r"its smallest params is .*; its largest accuracy is"):
        choose(study, {"params": 1.0}, {"accuracy": 1.1})


def test_an_impossible_limit_exits_with_2(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["pick", str(study.folder), "--max", "latency_ms=0"])
    assert end.value.code == 2
    assert "its smallest latency_ms is" in capsys.readouterr().err


def test_the_command_prints_a_table_or_json(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["pick", str(study.folder), "--max", "params=1e9"])
    table = capsys.readouterr().out
    main(["pick", str(study.folder), "--max", "params=1e9", "--json"])
    entries = json.loads(capsys.readouterr().out)
    assert entries
    assert all(entry["id"] in table for entry in entries)
    assert "latency_ms" in table


def shipped(label: str, accuracy: float, latency_ms: float, *, good: bool = True) -> ShippedFile:
    values = {"accuracy": accuracy, "latency_ms": latency_ms}
    return ShippedFile(
        label, "onnxruntime", f"models/a/{label}", "onnx", 9, values=values, recommended=good
    )


AXES = [
    Axis("accuracy", "share", "maximize", reference=0.0, leads=True),
    Axis("latency_ms", "ms", "minimize", reference=9.0),
]


def test_each_need_has_the_file_that_suits_it_best() -> None:
    """Whoever leads; what may not be recommended suits nothing, however good it looks."""
    files = shipped("fp32", 0.9, 2.0), shipped("int8", 0.8, 1.0), shipped("x", 1, 0, good=False)
    entry = Finalist("a", label="fp32", recommended=True, files=files, values=files[0].values)
    (found,) = picked([entry], AXES)
    needs = {file.label: set(file.picks) for file in found.files}
    assert "most accurate" in needs["fp32"] and "lowest latency_ms" in needs["int8"]
    assert needs["x"] == set() and set(found.picks) == needs["fp32"]


def test_files_are_picked_by_validation_and_test_says_which_are_no_different() -> None:
    """The best on test is not the most accurate: chosen by test, what test says would flatter."""
    files = tuple(
        replace(shipped(label, on_test, 2.0), validated={"accuracy": known, "latency_ms": 2.0})
        for label, on_test, known in (("fp32", 0.93, 0.95), ("int8", 0.95, 0.94), ("w4", 0.5, 0.9))
    )
    entry = Finalist("a", 19, label="fp32", recommended=True, files=files)
    (found,) = picked([replace(entry, figures={"test_images": 400})], AXES)
    assert "most accurate" in found.files[0].picks and "most accurate" not in found.files[1].picks
    assert found.files[0].rivals["most accurate"] == ("#19 int8",)
    (sure,) = picked([replace(entry, figures={"test_images": 40000})], AXES)
    assert "most accurate" not in sure.files[0].rivals


def test_latencies_that_overlap_are_no_different() -> None:
    def timed(label: str, ms: float) -> ShippedFile:
        known = Latency(ms, ms, ms, ms, ms, 60, low_ratio=0.9 * ms, high_ratio=1.1 * ms)
        return replace(shipped(label, 0.9 - ms / 100, ms), latencies={"here": known})

    files = timed("a", 1.0), timed("b", 1.1), timed("c", 2.0)
    (found,) = picked([Finalist("a", 7, label="a", recommended=True, files=files)], AXES)
    fastest = next(file for file in found.files if "lowest latency_ms" in file.picks)
    assert (fastest.label, fastest.rivals["lowest latency_ms"]) == ("a", ("#7 b",))


THERE = Axis("latency_ms@there", "ms", "minimize", reference=9.0)
ON = {"here": AXES, "there": [AXES[0], THERE]}


def of_two_devices() -> Finalist:
    """Files for one device each; what is fast there is more accurate than what is fast here."""
    known = Latency(1.0, 1.0, 1.0, 1.0, 1.0, 60)
    here = [shipped("fp32", 0.9, 2.0), shipped("int8", 0.8, 1.0)]
    files = [replace(file, latencies={"here": known}) for file in here]
    for label, accuracy, ms in (("there.fp32", 0.91, 3.0), ("there.int8", 0.85, 0.5)):
        values = {"accuracy": accuracy, "latency_ms@there": ms}
        own = replace(files[0], label=label, values=values, file=f"models/a/{label}")
        files.append(replace(own, latencies={"there": known}))
    leads = {"here": "fp32", "there": "there.int8"}
    return Finalist("a", 1, label="fp32", recommended=True, files=tuple(files), leads=leads)


def test_each_device_has_its_own_file_for_a_need() -> None:
    (found,) = picked([of_two_devices()], [*AXES, THERE], ON)
    needs = {file.label: set(file.picks) for file in found.files}
    assert "most accurate" in needs["fp32"] and "lowest latency_ms" in needs["int8"]
    assert "most accurate on there" in needs["there.fp32"]
    assert "lowest latency_ms@there" in needs["there.int8"]
    assert sum("knee on there" in own for own in needs.values()) == 1


def test_a_file_that_suits_a_need_on_both_devices_is_told_so_once() -> None:
    """One file for both: the second device adds what is measured there, and its own compromise."""
    entry = of_two_devices()
    both = {"here": entry.files[0].latencies["here"], "there": entry.files[2].latencies["there"]}
    files = [replace(f, latencies=both) for f in entry.files[:2]]
    files = [replace(f, values={**f.values, "latency_ms@there": 9 - f.values["latency_ms"]})
             for f in files]  # fmt: skip
    (found,) = picked([replace(entry, files=tuple(files))], [*AXES, THERE], ON)
    assert "most accurate" in found.files[0].picks
    assert "most accurate on there" not in found.files[0].picks
    assert "lowest latency_ms@there" in found.files[0].picks


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        ({"latency_ms": 1.5}, {"int8"}),
        ({"latency_ms@there": 1.0}, {"there.int8"}),
        ({"latency_ms": 1.5, "latency_ms@there": 1.0}, {"int8", "there.int8"}),
    ],
)
def test_a_limit_of_a_device_asks_for_the_files_that_run_there(
    study: Study, monkeypatch: pytest.MonkeyPatch, most: dict[str, float], expected: set[str]
) -> None:
    monkeypatch.setattr(Study, "axes", [*AXES, THERE])
    monkeypatch.setattr(Study, "axes_on", ON)
    objective = {name: study.config.objective["latency_ms"] for name in most}
    config = replace(study.config, objective={**study.config.objective, **objective})
    two = replace(study, config=config, finalists=[of_two_devices()])
    assert {entry["label"] for entry in choose(two, most, {})} == expected
    everything = choose(two, {}, {})
    assert [entry["leads"] for entry in everything if entry["label"] == "there.int8"] == [["there"]]


def test_an_objective_counts_on_the_device_that_measures_it(study: Study) -> None:
    (device,) = study.config.device
    assert study.axes_on == {device: list(study.axes)}


def test_a_finalist_of_an_old_run_is_picked_whole() -> None:
    old = Finalist("a", recommended=True, values={"accuracy": 0.9, "latency_ms": 2.0})
    (found,) = picked([old], AXES)
    assert {"most accurate", "lowest latency_ms"} <= set(found.picks)


def test_what_ships_has_every_metric_of_the_task_and_what_it_is_taken_for(study: Study) -> None:
    for entry in study.finalists:
        images = entry.figures["test_images"]
        assert sum(count for _, _, count in entry.confusions) == images
        right = sum(count for truth, answer, count in entry.confusions if truth == answer)
        assert right / images == pytest.approx(entry.figures["test_accuracy"])
        assert 0 < entry.figures["test_balanced_accuracy"] < 1
        assert len(entry.pictures) == min(6, images - right)
        assert all("taken for" in text for shown in entry.pictures for text in shown)
        assert all(file.validated["accuracy"] == file.validation for file in entry.files)


def test_a_new_budget_is_answered_by_a_file(study: Study) -> None:
    known = {f.label for each in study.finalists for f in each.files if f.recommended}
    for entry in choose(study, {}, {}):
        assert Path(entry["file"]).is_file() and entry["label"] in known
