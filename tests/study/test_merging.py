"""Two halves of one search become one run's folder, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from command_line import FinishedRun

from orchestrator import Ground, Record
from orchestrator.analysis.remeasured import Again, Remeasured
from orchestrator.candidate.assembly import assemble, draw
from orchestrator.cli.commands import main
from orchestrator.errors import RunError
from orchestrator.plugins import installed
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.study import Study, load, merge


@pytest.fixture(scope="module")
def first(finished_run: FinishedRun) -> Study:
    return load(finished_run.folder)


@pytest.fixture(scope="module")
def second(first: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another half: one candidate as the first, two others of which one became a finalist."""
    folder = tmp_path_factory.mktemp("halves") / "second"
    shutil.copytree(first.folder, folder)
    (folder / "study.journal").unlink()
    shutil.rmtree(folder / "models")
    assembly = assemble(first.config, installed())
    ground = Ground(first.axes, partial(draw, assembly), made=assembly.compression.made)
    sampler = partial(installed().create, "sampler", "random", {})
    asked = Proposer(folder / "study.journal", ground, lambda s: sampler(given={"seed": s}), seed=4)
    asked.suggest_first(first.records[0].choices, "as the first")
    for _ in range(3):
        proposal = asked.propose()
        assert proposal is not None
        values = {**first.feasible[0].values, "accuracy": 0.99 - 0.1 * proposal.number}
        asked.tell(Record(proposal.number, proposal.genotype, "feasible", values, proposal.choices))
    asked.propose()
    _with_finalist(first, folder, asked.records[1])
    again = Again({}, {"latency_ms": 0.5})
    Remeasured({0: again, 2: again}, pairs=1).write(folder)
    return folder


def _with_finalist(first: Study, folder: Path, record: Record) -> None:
    """The first half's finalist, as if it were of this candidate."""
    told, old = first.finalists[0], first.finalists[0].folder
    shutil.copytree(first.folder / old, folder / "models" / record.id)
    text = json.dumps(replace(told, number=record.number, id=record.id).to_json())
    known = json.loads(text.replace(old, f"models/{record.id}"))
    (folder / "finalists.json").write_text(json.dumps({"format": 1, "finalists": [known]}))


@pytest.fixture(scope="module")
def merged(first: Study, second: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    into = tmp_path_factory.mktemp("merged") / "new" / "both"
    merge(first.folder, second, into, installed())
    return load(into)


def test_every_candidate_of_both_is_there_once(first: Study, second: Path, merged: Study) -> None:
    kept = read_records(merged.home.journal)
    keys = [record.genotype.key for record in kept]
    halves = [read_records(first.home.journal), read_records(second / "study.journal")]
    assert len(keys) == len(set(keys)) == len(halves[0]) + len(halves[1]) - 1
    assert kept[: len(halves[0])] == halves[0]
    assert merged.config.budget.candidates == 2 * first.config.budget.candidates


def test_finalists_of_both_are_there_under_their_new_numbers(first: Study, merged: Study) -> None:
    known = {finalist.number for finalist in first.finalists}
    own = [finalist for finalist in merged.finalists if finalist.number not in known]
    assert len(own) == 1 and len(merged.finalists) == len(first.finalists) + 1
    (record,) = [r for r in merged.records if r.number == own[0].number]
    assert own[0].id == record.id and record.values["accuracy"] == pytest.approx(0.89)
    for finalist in merged.finalists:
        assert (merged.folder / finalist.file).is_file()
        assert (merged.folder / finalist.folder / "card.md").is_file()


def test_new_latencies_go_with_their_candidates(first: Study, merged: Study) -> None:
    numbers = json.loads((merged.folder / "merged.json").read_text())["numbers"]
    # The first half is a real search, which may have measured close latencies again itself.
    assert set(merged.remeasured.found) == {*first.remeasured.found, numbers["2"]}
    assert {r.values["latency_ms"] for r in merged.records if r.number == numbers["2"]} == {0.5}


def test_it_is_reported_and_picked_from(merged: Study, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report", str(merged.folder)])
    assert merged.home.report.stat().st_size > 0
    main(["pick", str(merged.folder), "--max", "params=1e9"])
    assert "accuracy" in capsys.readouterr().out


def test_what_are_no_halves_are_refused_with_the_reason(
    first: Study, second: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(second, other)
    config = replace(first.config, train=replace(first.config.train, epochs=9))
    load(other).home.keep_config(config)
    with pytest.raises(RunError, match=r"no halves of one search: train\.epochs is 1, there 9"):
        merge(first.folder, other, tmp_path / "into", installed())
    with pytest.raises(RunError, match="merged with itself"):
        merge(first.folder, first.folder, tmp_path / "into", installed())
    with pytest.raises(RunError, match="is there already"):
        merge(first.folder, second, other, installed())
    plan = json.loads((second / "plan.json").read_text())
    plan["data"]["fingerprints"]["train"] = "others"
    load(other).home.keep_config(first.config)
    (other / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(RunError, match=r"images\.train is \w+, there others"):
        merge(first.folder, other, tmp_path / "into", installed())
    assert not (tmp_path / "into").exists()


def test_killed_in_the_middle_it_leaves_nothing(first: Study, second: Path, tmp_path: Path) -> None:
    into, more = tmp_path / "into", tmp_path / "large"
    shutil.copytree(second, more)
    (more / "weights" / "ballast.safetensors").write_bytes(bytes(2**28))
    command = [sys.executable, "-m", "orchestrator", "merge", str(more), str(first.folder)]
    with subprocess.Popen([*command, "--into", str(into)]) as process:
        while not list(tmp_path.glob("merge-*.part")) and process.poll() is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    assert not into.exists() and list(tmp_path.glob("merge-*.part"))
    merge(first.folder, second, into, installed())
    assert len(load(into).finalists) == len(first.finalists) + 1
    assert not list(tmp_path.glob("merge-*.part"))
