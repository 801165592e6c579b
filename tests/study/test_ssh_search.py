"""Whole searches on another machine: a real OpenSSH server on this one's loopback."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from command_line import QUICK, command
from loopback import Sshd

from orchestrator.records import Record
from orchestrator.study import load

pytestmark = pytest.mark.slow
SMALL = (*QUICK, "~compressor.distillation", "budget.candidates=4", "budget.finalists=1")


def at(sshd: Sshd, prefix: str = "device") -> list[str]:
    """The overrides that say where the server is."""
    told = {**sshd.options, "folder": sshd.folder / "there", "patience_seconds": 1}
    return [f"{prefix}.{name}={value}" for name, value in told.items()]


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_a_search_goes_on_where_a_host_that_vanished_left_it(sshd: Sshd, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begun = command(*SMALL, "device=pi", *at(sshd), "budget.concurrent=1", f"run.dir={folder}")
    pipe = subprocess.PIPE
    with subprocess.Popen(begun, stdout=pipe, stderr=pipe, text=True) as search:
        while not list(folder.glob("results/*.json")) and search.poll() is None:
            time.sleep(0.1)
        sshd.kill()
        _, told = search.communicate(timeout=300)
    assert search.returncode == 2, told
    assert "does not answer. Is it on, awake" in told
    assert f"go on with: python -m orchestrator resume {folder}" in told
    before = {record.number: record for record in load(folder).records}
    sshd.start()
    ended("resume", str(folder))
    study = load(folder)
    assert {r.number: r for r in study.records if r.number in before} == before
    assert sum("trained" in record.extra for record in study.records) == 4
    shipped(study.records, study.finalists[0].values, "pi")
    assert sshd.sessions() == [] and sshd.agents() == []


def test_here_and_there_are_searched_together(sshd: Sshd, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    both = ("device=[here,pi]", "objective=[accuracy,latency_ms,latency_ms@pi]")
    done = ended(*SMALL, *both, *at(sshd, "device.pi"), f"run.dir={folder}")
    assert "device here" in done.stdout and "device pi" in done.stdout
    study = load(folder)
    assert [axis.name for axis in study.axes] == ["accuracy", "latency_ms", "latency_ms@pi"]
    shipped(study.records, study.finalists[0].values, "here", "pi")
    assert study.plan.fingerprints["pi"]["runtime"] == study.plan.fingerprints["here"]["runtime"]


def shipped(records: list[Record], values: dict[str, float], *devices: str) -> None:
    """Everything that is feasible was measured on all devices, and so was what ships."""
    feasible = [record for record in records if record.outcome == "feasible"]
    assert feasible and values["latency_ms"] > 0
    assert {name for record in feasible for name in record.latencies} == set(devices)
    assert all(latency.runs for record in feasible for latency in record.latencies.values())
