"""The agent, copied alone to another folder and asked over its line."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.measuring import agent
from orchestrator.measuring.link import AgentDied, AgentLink, AgentRefused

LOADER = """
import os, pathlib, time

def facts(options):
    print("a runtime's chatter")
    return {"runtime": "sleeper 1", **options}

class Session:
    def __init__(self, path):
        self.word = pathlib.Path(path).read_text()
        self.note("l")
        if self.word == "broken":
            raise ValueError("no network")

    def note(self, what):
        if self.word.startswith("noted "):
            with open(self.word[6:], "a") as log:
                log.write(what)

    def __del__(self):
        self.note("d")

    def run(self):
        self.note("r")
        if self.word == "deadly":
            os.kill(os.getpid(), 9)
        if self.word.startswith("once "):
            mark = pathlib.Path(self.word[5:])
            if not mark.exists():
                mark.touch()
                print("I am unwell", file=__import__("sys").stderr, flush=True)
                os._exit(7)
        time.sleep(float(self.word) if self.word[0].isdigit() else 0.0)

def load(path, options):
    return Session(path)
"""


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Starts a copy of the agent, in a folder with nothing but it and a loader."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(agent.__file__, alone / "agent.py")
    (alone / "loader.py").write_text(LOADER)

    def started(errors: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", str(alone / "agent.py")]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, bufsize=0, stdin=pipe, stdout=pipe, stderr=errors, cwd=alone
        )

    return started


@pytest.fixture
def link(start: Any) -> Iterator[AgentLink]:
    made = AgentLink(start, {"loader": "loader.py", "options": {"threads": "1"}})
    yield made
    made.close()


def timed(link: AgentLink, folder: Path, *words: str, seconds: float = 60.0) -> Any:
    files = []
    for number, word in enumerate(words):
        files.append(folder / f"{number}.file")
        files[-1].write_text(word)
    request = {"op": "time", "files": [str(file) for file in files], "rounds": 3}
    return link.ask(request, doing="timing", seconds=seconds)


def test_it_needs_nothing_but_the_standard_library_of_python_3_8() -> None:
    source = Path(agent.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    names = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
        )
    }
    assert {str(name).partition(".")[0] for name in names} <= sys.stdlib_module_names
    assert "strict=" not in source  # zip's, of Python 3.10


def test_it_says_what_the_machine_and_the_runtime_are(link: AgentLink) -> None:
    facts = link.facts()
    assert facts["runtime"] == "sleeper 1" and facts["threads"] == "1"
    assert facts["processor"] and int(facts["cores"]) >= 1


def test_it_times_files_in_turn(link: AgentLink, tmp_path: Path) -> None:
    quick, slow = timed(link, tmp_path, "0.001", "0.02")
    assert 1 <= quick["low_ms"] <= quick["median_ms"] <= quick["high_ms"]
    assert slow["low_ms"] >= 20 and slow["runs"] == 3


def test_a_file_is_loaded_three_times_each_beside_the_one_before(
    link: AgentLink, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    (timing,) = timed(link, tmp_path, f"noted {log}")
    assert timing["runs"] == 3 and len(timing["parts_ms"]) == 3
    assert re.fullmatch("lr+lrdr+lrdr+d?", log.read_text())


def test_a_file_that_does_not_load_is_told_by_its_number(link: AgentLink, tmp_path: Path) -> None:
    with pytest.raises(AgentRefused, match="no network") as refusal:
        timed(link, tmp_path, "0", "broken")
    assert refusal.value.file == 1
    assert len(timed(link, tmp_path, "0")) == 1


@pytest.mark.parametrize(
    ("request_", "message"), [({"op": "dance"}, "dance"), ({}, "None is none")]
)
def test_a_wrong_request_is_answered(link: AgentLink, request_: Any, message: str) -> None:
    with pytest.raises(AgentRefused, match=message):
        link.ask(request_, doing="asking nonsense", seconds=20)


def test_it_is_started_again_once(link: AgentLink, tmp_path: Path) -> None:
    assert len(timed(link, tmp_path, "0", f"once {tmp_path / 'mark'}")) == 2


def test_what_kills_it_twice_is_told(link: AgentLink, tmp_path: Path) -> None:
    with pytest.raises(AgentDied, match=r"ended by SIGKILL while timing\..*second time"):
        timed(link, tmp_path, "deadly")
    assert len(timed(link, tmp_path, "0")) == 1


def test_its_last_words_are_told(start: Any, tmp_path: Path) -> None:
    (tmp_path / "alone" / "loader.py").write_text("import os; os.write(2, b'unwell'); os._exit(7)")
    link = AgentLink(start, {"loader": "loader.py", "options": {}})
    with pytest.raises(AgentDied, match=r"with status 7 while starting\. Its last words: unwell"):
        link.facts()


def test_one_that_takes_too_long_is_ended(link: AgentLink, tmp_path: Path) -> None:
    link.facts()
    begun = time.monotonic()
    with pytest.raises(AgentDied, match="did not answer within 1 s while timing"):
        timed(link, tmp_path, "60", seconds=1.0)
    assert time.monotonic() - begun < 20


def test_it_ends_with_whoever_asks_even_while_it_measures(start: Any, tmp_path: Path) -> None:
    process: subprocess.Popen[bytes] = start(subprocess.DEVNULL)
    assert process.stdin is not None and process.stdout is not None
    (tmp_path / "slow").write_text("30")
    for request in (
        {"op": "open", "loader": "loader.py", "options": {}},
        {"op": "time", "files": [str(tmp_path / "slow")], "rounds": 9},
    ):
        process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdout.readline()
    process.stdin.close()
    assert process.wait(timeout=10) == 0
    process.stdout.close()
