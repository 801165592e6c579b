"""One search with two devices: ONNX Runtime with one thread, and with two."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from command_line import QUICK, command

from orchestrator.study import load

BOTH = (
    "device.two={name: onnxruntime, threads: 2}",
    "objective=[accuracy,latency_ms,latency_ms@two,size_bytes]",
    "objective.latency_small={name: latency_ms, device: two, role: reported}",
    "budget.candidates=3",
    "budget.finalists=1",
    "budget.concurrent=1",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs") / "both"
    arguments = command(*QUICK, *BOTH, f"run.dir={made}")
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "device two" in done.stdout and "device onnxruntime" in done.stdout
    return made


def test_both_latencies_are_searched_for(folder: Path) -> None:
    study = load(folder)
    assert [axis.name for axis in study.axes] == ["accuracy", "latency_ms", "latency_ms@two"]
    feasible = [record for record in study.records if record.outcome == "feasible"]
    assert feasible
    for record in feasible:
        assert set(record.latencies) == {"onnxruntime", "two"}
        assert record.values["latency_ms"] == record.latencies["onnxruntime"].ms
        assert record.values["latency_ms@two"] == record.latencies["two"].ms
        assert record.values["latency_small"] == record.values["latency_ms@two"]


def test_the_plan_knows_both_devices(folder: Path) -> None:
    plan = load(folder).plan
    threads = {name: found["threads"] for name, found in plan.fingerprints.items()}
    assert threads == {"onnxruntime": "1", "two": "2"}
    assert set(plan.reference_ms) == {"onnxruntime", "two"}


def test_one_file_ships_with_both_figures(folder: Path) -> None:
    (finalist,) = load(folder).finalists
    values = finalist.values
    assert values["latency_ms"] > 0 and values["latency_ms@two"] > 0
    facts = json.loads((folder / finalist.folder / "genotype.json").read_text())
    assert {entry["format"] for entry in facts["artifacts"].values()} == {"onnx"}
    assert "two" not in facts["artifacts"]


def test_it_is_resumed_and_reported(folder: Path) -> None:
    done = subprocess.run(
        command("resume", str(folder)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "latency_ms@two" in (folder / "report.html").read_text()
