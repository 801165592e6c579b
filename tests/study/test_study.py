"""One search from the command line, looked at from all sides."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import FinishedRun

from orchestrator.analysis import pareto
from orchestrator.bundle import verify
from orchestrator.cli.commands import main
from orchestrator.config import check_config
from orchestrator.errors import RunError
from orchestrator.plugins import installed
from orchestrator.records import Record
from orchestrator.study import Study, load, write_report

LIMIT = 150_000


@pytest.fixture(scope="module")
def study(finished_run: FinishedRun) -> Study:
    return load(finished_run.folder)


@pytest.fixture(scope="module")
def rejected(study: Study) -> list[Record]:
    return [record for record in study.records if record.outcome == "rejected"]


def test_the_folder_holds_what_repeats_and_explains_it(finished_run: FinishedRun) -> None:
    found = {path.name for path in finished_run.folder.iterdir()}
    assert found >= {
        "config.yaml",
        "overrides.txt",
        "environment.txt",
        "plan.json",
        "study.journal",
        "candidates.csv",
        "front.csv",
        "finalists.json",
        "report.html",
        "models",
    }
    overrides = (finished_run.folder / "overrides.txt").read_text().splitlines()
    assert overrides == list(finished_run.overrides)


def test_the_last_printed_line_names_the_folder(finished_run: FinishedRun) -> None:
    assert finished_run.printed.splitlines()[-1] == f"Run folder: {finished_run.folder}"


def test_the_plan_is_printed_before_and_the_result_after(finished_run: FinishedRun) -> None:
    printed = finished_run.printed
    wanted = ["mobilenetv3", "Forecast", "test accuracy", "on the front", "report.html"]
    places = [printed.index(text) for text in wanted]
    assert places == sorted(places)


def test_the_budget_is_spent_on_candidates_that_keep_it(
    study: Study, rejected: list[Record]
) -> None:
    assert rejected
    paid = [r for r in study.records if r not in rejected and r.network is None]
    assert len(paid) == 4 and len(study.feasible) > 4
    assert not [record.error for record in study.records if record.outcome == "failed"]
    assert all(record.values["params"] <= LIMIT for record in study.feasible)


def test_what_breaks_a_budget_is_never_trained(study: Study, rejected: list[Record]) -> None:
    weights = {path.stem for path in (study.folder / "weights").iterdir()}
    for record in rejected:
        assert not record.curve
        assert "accuracy" not in record.values
        assert record.violations["params"] == record.values["params"] - LIMIT
    trained = {record.genotype.plain().key for record in study.feasible}
    assert weights == trained


def test_every_candidate_is_a_row(study: Study) -> None:
    with (study.folder / "candidates.csv").open() as file:
        rows = list(csv.DictReader(file))
    known = {record.id: record.outcome for record in study.records}
    assert len(rows) == len(known)
    assert {row["id"]: row["outcome"] for row in rows} == known
    with (study.folder / "front.csv").open() as file:
        assert {row["id"] for row in csv.DictReader(file)} == {r.id for r in study.front}


def test_nothing_dominates_a_member_of_the_front(study: Study) -> None:
    assert study.front
    for member in study.front:
        for other in study.feasible:
            assert not pareto.dominates(other.values, member.values, study.axes)


def test_named_points_were_tried_first(study: Study) -> None:
    proposed = [record for record in study.records if record.network is None]
    origins = [record.origin for record in sorted(proposed, key=lambda r: r.number)]
    assert "sampler" not in origins[:4] and set(origins[4:]) <= {"sampler"}


def test_finalists_come_from_the_front_and_tell_their_figures(study: Study) -> None:
    front = {record.id for record in study.front}
    assert 1 <= len(study.finalists) <= 2
    for entry in study.finalists:
        assert entry.id in front
        assert entry.verified
        assert entry.values.keys() == study.config.objective.keys()
        assert entry.values["params"] <= LIMIT
        assert 0 <= entry.figures["test_accuracy"] <= 1
        assert entry.recommended or entry.marks


def test_finalists_are_whole(study: Study) -> None:
    device = installed().create("device", "onnxruntime", {})
    for entry in study.finalists:
        found = verify(study.folder / entry.folder, device)
        assert found.network_difference == 0
        assert (study.folder / entry.file).is_file()
    kept = {path.name for path in (study.folder / "models").iterdir()}
    assert kept == {entry.id for entry in study.finalists}


def test_the_report_holds_every_candidate_and_is_rebuilt_alike(study: Study) -> None:
    text = study.home.report.read_text()
    for record in study.records:
        assert record.id in text
    assert write_report(replace(study, records=study.records[::-1])) == study.home.report
    assert study.home.report.read_text() == text


def test_the_report_command_prints_where_it_is(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["report", str(study.folder)])
    assert capsys.readouterr().out.strip() == str(study.home.report)


def test_the_summary_counts_outcomes(study: Study, rejected: list[Record]) -> None:
    proposed = sum(record.network is None for record in study.records)
    count = len(study.records)
    assert study.summary.startswith(f"{proposed} candidates in {count} variants (")
    assert f"{len(rejected)} rejected" in study.summary
    assert 0 < study.hypervolume <= 1


def test_another_search_in_the_folder_is_refused(
    finished_run: FinishedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(finished_run.overrides))
    assert end.value.code == 2
    assert f"python -m orchestrator resume {finished_run.folder}" in capsys.readouterr().err


def copied(original: Study, folder: Path, **changed: str) -> Path:
    """The run's small files in another folder, some of them with other content."""
    folder.mkdir()
    for name in ("config.yaml", "overrides.txt", "environment.txt", "plan.json", "study.journal"):
        text = (original.folder / name).read_text()
        (folder / name).write_text(changed.get(name.partition(".")[0], text))
    return folder


@pytest.mark.parametrize("part", ["config", "plan", "study"])
@pytest.mark.parametrize("content", ["garbage", "[1, 2]\n[3]\n"])
def test_a_damaged_file_is_named(study: Study, tmp_path: Path, part: str, content: str) -> None:
    folder = copied(study, tmp_path / "run", **{part: content})
    with pytest.raises(RunError, match=rf"{part}\.\w+.* (cannot be|is damaged)"):
        load(folder)


def test_a_damaged_journal_is_not_resumed(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(study, tmp_path / "run", study="garbage")
    with pytest.raises(SystemExit) as end:
        main(["resume", str(folder)])
    assert end.value.code == 2
    assert "cannot be read as a study's journal" in capsys.readouterr().err
    assert (folder / "study.journal").read_text() == "garbage"


def test_a_missing_journal_beside_results_is_told(study: Study, tmp_path: Path) -> None:
    folder = copied(study, tmp_path / "run")
    (folder / "study.journal").unlink()
    assert load(folder).records == []  # stopped before its search began
    (folder / "results").mkdir()
    with pytest.raises(RunError, match="is missing although candidates were evaluated"):
        load(folder)


def test_a_folder_in_use_is_refused(study: Study, tmp_path: Path) -> None:
    from orchestrator.cli.terminal import Terminal
    from orchestrator.search.journal import exclusive
    from orchestrator.study import resume

    folder = copied(study, tmp_path / "run")
    with exclusive(folder), pytest.raises(RunError, match=r"in use by process \d+ \("):
        resume(folder, Terminal())


def test_the_written_configuration_is_the_one_that_ran(study: Study) -> None:
    import yaml

    data: dict[str, Any] = yaml.safe_load((study.folder / "config.yaml").read_text())
    assert data.pop("format") == 1
    assert check_config(data) == study.home.config() == study.config
    assert study.config.objective["params"].max == LIMIT
    assert study.config.train.epochs == 1


def test_the_plan_is_kept(study: Study) -> None:
    plan = json.loads((study.folder / "plan.json").read_text())
    assert plan.pop("format") == 1
    assert [seed["name"] for seed in plan["seeds"]][:1] == ["large-small"]
    assert plan["ranges"]["params"][0] <= LIMIT
    assert json.loads(json.dumps(study.plan.to_json())) == plan
