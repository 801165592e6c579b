from __future__ import annotations

import json

import pytest
from command_line import FinishedRun

from orchestrator.analysis import pareto
from orchestrator.cli.commands import main
from orchestrator.errors import BudgetError, ConfigError
from orchestrator.study import Study, load
from orchestrator.study.picking import choose


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
        values = [other["values"] for other in entries]
        assert not any(pareto.dominates(v, entry["values"], study.axes) for v in values)


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
