"""MLflow tracking: what a reviewer finds, what a resume finds, and what a broken store costs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tracked import (
    AXES,
    RECORDS,
    REJECTED,
    WAIT_S,
    curve,
    record,
    refuse_notes,
    runs,
    track,
)

from orchestrator.config import TrackingConfig
from orchestrator.contracts.objective import Axis
from orchestrator.records import Check
from orchestrator.tracking import Tracker, tracking_uri, ui_hint
from orchestrator.tracking.naming import title
from orchestrator.tracking.writer import Writer


def test_a_parent_run_tells_what_was_searched_and_what_came_out(store, search) -> None:
    (search.folder / "report.html").write_text("<h1>report</h1>")
    track(store, search, RECORDS)
    parent, nested = runs(store)
    assert (parent.info.run_name, parent.info.status) == ("tiny on digits", "FINISHED")
    assert parent.data.tags["space"] == "tiny" and parent.data.params == {"candidates": "4"}
    figures = parent.data.metrics
    assert (figures["hypervolume"], figures["feasible"], figures["rejected"]) == (0.5, 1, 1)
    assert figures["best_accuracy"] == 0.9
    description = parent.data.tags["mlflow.note.content"]
    assert description.startswith("**0000 is best.**\n\n[Compare the front")
    assert nested[0].info.run_id in description
    assert list(store.parent.glob("mlflow-artifacts/**/report.html"))


def test_a_nested_run_tells_what_became_of_each_candidate(store, search) -> None:
    track(store, search, RECORDS)
    _, nested = runs(store)
    assert [nested[number].info.run_name for number in range(4)] == [
        "★ 0000 90.0 % acc · 1 M MACs · 3.1 ms",
        "0001 rejected: MACs 400 k off budget",
        "0002 failed: train",
        "0003 stopped early · 40.0 % acc",
    ]
    statuses = [nested[number].info.status for number in range(4)]
    assert statuses == ["FINISHED", "FINISHED", "FAILED", "FINISHED"]
    assert nested[0].data.params == {"stages": "2", "phases.0.width": "8"}
    assert nested[0].data.metrics["val_accuracy"] == 0.9
    assert (nested[0].data.tags["front"], nested[3].data.tags["front"]) == ("yes", "no")
    assert nested[0].info.end_time - nested[0].info.start_time == 2000
    assert nested[2].data.tags["reason"] == "E: nan"


def test_a_resumed_search_continues_its_run_and_doubles_nothing(store, search) -> None:
    track(store, search, RECORDS[:2], finish=False)
    first, _ = runs(store)
    assert first.info.status == "KILLED"
    track(store, search, RECORDS[2:])
    second, nested = runs(store)
    assert second.info.run_id == first.info.run_id and second.info.status == "FINISHED"
    assert sorted(nested) == [0, 1, 2, 3]


def test_a_resumed_search_catches_up_with_what_was_never_written(store, search) -> None:
    track(store, search, RECORDS[:1], finish=False)
    search.records.append(REJECTED)
    track(store, search, RECORDS[2:])
    assert sorted(runs(store)[1]) == [0, 1, 2, 3]


def test_a_candidate_that_left_the_front_loses_its_star(store, search) -> None:
    track(store, search, RECORDS[:1])
    tracker = Tracker(TrackingConfig(), store, refuse_notes)
    tracker.orchestrator_search_started(search)
    better = record(4)
    search.records.append(better)
    tracker.orchestrator_candidate_finished(search, better)
    tracker.orchestrator_search_finished(search, [better])
    assert tracker.close(WAIT_S)
    _, nested = runs(store)
    assert nested[4].info.run_name.startswith("★ 0004")
    assert nested[0].info.run_name.startswith("0000")


def checked(number: int, trained: float, epochs: int = 2) -> Check:
    values = {"accuracy": trained, "macs": 1e6 * (1 + number), "latency_ms": 3.1}
    return Check(record(number, values=values), 0.5 + number / 100, trained, epochs, values["macs"])


def test_a_check_is_told_by_its_candidate_and_by_the_parent(store, search) -> None:
    track(store, search, [record(number) for number in range(3)], finish=False)
    tracker = Tracker(TrackingConfig(), store, refuse_notes)
    tracker.orchestrator_search_started(search)
    for check in (checked(0, 0.6), checked(1, 0.8), checked(2, 0.7), checked(1, 0.9, epochs=6)):
        search.learn(check)
        tracker.orchestrator_candidate_checked(search, check)
    assert tracker.close(WAIT_S)
    parent, nested = runs(store)
    assert parent.data.metrics["kendall_tau"] == pytest.approx(1 / 3)
    assert "kendall_tau_at_macs" not in parent.data.metrics  # unknown of three
    figures = nested[1].data.metrics
    assert (figures["estimated_accuracy"], figures["trained_further_accuracy"]) == (0.51, 0.9)
    assert figures["accuracy"] == 0.9
    assert nested[1].info.run_name == "0001 90.0 % acc · 2 M MACs · 3.1 ms"
    assert nested[1].data.tags["checked_epochs"] == "6"


def test_a_resumed_search_tells_checks_that_were_never_written(store, search) -> None:
    track(store, search, [record(number) for number in range(4)], finish=False)
    for number, trained in enumerate((0.6, 0.8, 0.7, 0.9)):
        search.learn(checked(number, trained))
    track(store, search, [])
    parent, nested = runs(store)
    assert [nested[n].data.metrics["trained_further_accuracy"] for n in range(4)] == [
        0.6,
        0.8,
        0.7,
        0.9,
    ]
    assert parent.data.metrics.keys() >= {"kendall_tau", "kendall_tau_at_macs", "tau.macs"}
    assert nested[0].info.run_name.startswith("★ 0000 60.0 %")


def test_correlations_are_told_once_every_few_candidates(store, search) -> None:
    track(store, search, [record(number) for number in range(12)], finish=False)
    assert curve(store, "tau.macs") == [(5, 1.0), (10, 1.0)]


def test_counts_never_fall_whatever_order_candidates_finish_in(store, search) -> None:
    track(store, search, [record(number) for number in (2, 0)], finish=False)
    track(store, search, [record(number) for number in (3, 1)])
    assert curve(store, "feasible") == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_a_run_of_another_store_is_not_continued(store, search) -> None:
    (search.folder / "mlflow.json").write_text(json.dumps({"uri": "http://x", "run_id": "1"}))
    track(store, search, RECORDS[:1])
    assert sorted(runs(store)[1]) == [0]


def test_a_state_of_a_newer_form_ends_tracking_with_its_name(store, search) -> None:
    (search.folder / "mlflow.json").write_text(json.dumps({"format": 9}))
    told: list[str] = []
    tracker = Tracker(TrackingConfig(), store, told.append)
    tracker.orchestrator_search_started(search)
    tracker.close(WAIT_S)
    assert len(told) == 1 and "mlflow.json has format 9" in told[0]


def _folder_in_the_way(folder: Path) -> TrackingConfig:
    (folder / "blocked").write_text("a file")
    return TrackingConfig(uri=f"sqlite:///{folder}/blocked/mlflow.db")


def _closed_port(folder: Path) -> TrackingConfig:
    return TrackingConfig(uri="http://127.0.0.1:9")


@pytest.mark.parametrize("broken", [_folder_in_the_way, _closed_port])
def test_a_broken_store_costs_one_line_and_no_time(
    broken: Callable[[Path], TrackingConfig], search, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    warnings: list[str] = []
    tracker = Tracker(broken(tmp_path), tmp_path / "unused.db", warnings.append)
    began = time.perf_counter()
    tracker.orchestrator_search_started(search)
    for item in RECORDS:
        tracker.orchestrator_candidate_finished(search, item)
    tracker.orchestrator_search_finished(search, RECORDS)
    assert time.perf_counter() - began < 0.5
    assert tracker.close(WAIT_S)
    assert len(warnings) == 1 and "MLflow tracking ends here" in warnings[0]


def test_a_store_that_hangs_is_left_behind_in_time(search, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Writer, "__init__", lambda *_: time.sleep(3))
    warnings: list[str] = []
    tracker = Tracker(TrackingConfig(), tmp_path / "mlflow.db", warnings.append)
    tracker.orchestrator_search_started(search)
    assert not tracker.close(0.1)
    assert len(warnings) == 1 and "not done after 0.1 s" in warnings[0]


def test_switched_off_it_does_nothing(search, tmp_path) -> None:
    tracker = Tracker(TrackingConfig(enabled=False), tmp_path / "mlflow.db", refuse_notes)
    tracker.orchestrator_search_started(search)
    tracker.orchestrator_candidate_finished(search, RECORDS[0])
    tracker.orchestrator_search_finished(search, [])
    assert tracker.close() and not (tmp_path / "mlflow.db").exists()


def test_two_axes_of_milliseconds_are_told_apart() -> None:
    axes = (*AXES, Axis("latency_fp32_ms", "ms", "minimize", 9.0))
    both = record(5, values={"latency_ms": 3.0, "latency_fp32_ms": 4.0})
    assert title(both, axes) == "0005 3 ms latency · 4 ms latency fp32"


def test_the_hint_says_what_to_type_or_where_to_look(tmp_path) -> None:
    local = ui_hint(TrackingConfig(), tmp_path / "mlflow.db")
    assert f"--backend-store-uri sqlite:///{tmp_path}/mlflow.db" in local
    remote = TrackingConfig(uri="http://example.org:5000/")
    assert ui_hint(remote, tmp_path).startswith("http://example.org:5000/#/")
    assert tracking_uri(remote, tmp_path) == "http://example.org:5000/"
