"""A real search that is stopped, killed and ended, one command line after another."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command_line import QUICK, command

from orchestrator.records import Record
from orchestrator.search.proposer import read_records, read_result

_CANDIDATES = 7
_PATIENCE_S = 180.0


@dataclass
class Story:
    """What was on disk before each interruption, and how each command ended."""

    folder: Path
    before: list[dict[str, int]] = field(default_factory=list)
    told: list[list[Record]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def interrupt(self, arguments: list[str], number: int, *, finished: int) -> None:
        """Run a command until so many candidates are told, then send it a signal."""
        with subprocess.Popen(
            command(*arguments), stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                self._wait(process, finished)
                self.before.append(self.times())
                self.told.append(self.records())
                # Ctrl-C reaches the whole group of a terminal, kill -9 one process.
                (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
                self.errors.append(process.communicate(timeout=_PATIENCE_S)[1])
                self.statuses.append(process.returncode)
            finally:
                if process.poll() is None:
                    process.kill()

    def records(self) -> list[Record]:
        return read_records(self.folder / "study.journal")

    def times(self) -> dict[str, int]:
        """When each result and its candidate's weights were written.

        One that has weights and no result yet was not evaluated to its end.
        """
        results = {path: read_result(path) for path in self.folder.glob("results/*.json")}
        keys = {record.genotype.plain().key for record in results.values() if record}
        weights = [self.folder / "weights" / f"{key}.safetensors" for key in keys]
        paths = [*results, *(path for path in weights if path.exists())]
        return {str(path.relative_to(self.folder)): path.stat().st_mtime_ns for path in paths}

    def _wait(self, process: subprocess.Popen[str], finished: int) -> None:
        end = time.monotonic() + _PATIENCE_S
        while len(self.records() if self.folder.is_dir() else []) < finished:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end, "the search does not get on"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Ctrl-C after one candidate, kill -9 two later, then to the end."""
    told = Story(tmp_path_factory.mktemp("runs") / "interrupted")
    plain = [f"~compressor.{name}" for name in ("distillation", "pruning", "quantization")]
    budget = [f"budget.candidates={_CANDIDATES}", "budget.finalists=1"]
    resume = ["resume", str(told.folder)]
    told.interrupt([*QUICK, *plain, *budget, f"run.dir={told.folder}"], signal.SIGINT, finished=1)
    told.interrupt(resume, signal.SIGKILL, finished=len(told.records()) + 2)
    done = subprocess.run(command(*resume), capture_output=True, text=True, check=False)
    told.statuses.append(done.returncode)
    told.errors.append(done.stderr)
    yield told


def test_ctrl_c_is_130_and_names_the_command_that_goes_on(story: Story) -> None:
    assert story.statuses[0] == 130, story.errors[0]
    last = story.errors[0].strip().splitlines()[-1]
    assert last.startswith("orchestrator: stopped; everything known is in")
    assert f"python -m orchestrator resume {story.folder}" in last
    assert "Traceback" not in story.errors[0]


def test_it_was_killed_in_mid_search(story: Story) -> None:
    assert story.statuses[1] == -signal.SIGKILL
    assert 2 < len(story.told[1]) < _CANDIDATES


def test_it_ends_with_the_right_number(story: Story) -> None:
    assert story.statuses[2] == 0, story.errors[2]
    records = story.records()
    assert len(records) == _CANDIDATES
    assert {record.outcome for record in records} <= {"feasible", "stopped"}
    assert (story.folder / "report.html").stat().st_size > 0
    assert len(list((story.folder / "models").iterdir())) == 1


def test_nothing_that_was_known_is_lost(story: Story) -> None:
    after = {record.number: record for record in story.records()}
    for known in story.told:
        for record in known:
            assert after[record.number] == record


def test_nothing_is_evaluated_twice(story: Story) -> None:
    after = story.times()
    for known in story.before:
        assert {name: after[name] for name in known} == known
    assert any(name.startswith("weights") for name in story.before[-1])
    keys = [record.genotype.key for record in story.records()]
    assert len(keys) == len(set(keys))


def test_named_points_are_tried_once(story: Story) -> None:
    origins = [record.origin for record in story.records()]
    named = [origin for origin in origins if origin != "sampler"]
    assert len(named) == len(set(named)) == 4
    assert sorted(origins[:4]) == sorted(named)
