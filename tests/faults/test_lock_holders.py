"""A lock's holder is named, waited for with a limit, and passed by where it hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import RunError
from orchestrator.faults.locks import LockTaken, take
from orchestrator.measuring.gate import Gate
from orchestrator.tracking.writer import _locked

_HOLD = """
import sys, time
from pathlib import Path
from orchestrator.measuring.gate import Gate
with getattr(Gate(Path(sys.argv[1])), sys.argv[2])():
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(folder: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _HOLD, str(folder), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "held\n"
            yield child
        finally:
            child.kill()


def test_who_waits_too_long_hears_for_whom(tmp_path: Path) -> None:
    with holder(tmp_path, "exclusive") as child, pytest.raises(LockTaken) as caught:
        take(tmp_path / "room.lock", seconds=0.1)
    assert caught.value.holders == (child.pid,)
    assert f"process {child.pid} (" in str(caught.value)
    assert (tmp_path / "room.lock").read_text() == f"{child.pid:<11}\n"


def test_a_waiter_that_gave_up_leaves_nothing_locked(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = take(path)
    with pytest.raises(LockTaken):
        take(path, seconds=0.05)
    first.close()
    take(path, seconds=5.0).close()


@pytest.mark.parametrize(("held", "wanted"), [("shared", "exclusive"), ("exclusive", "shared")])
def test_a_holder_that_hangs_is_passed_by_with_a_note(
    tmp_path: Path, held: str, wanted: str
) -> None:
    before, gate = time.time(), Gate(tmp_path, patience=0.2)
    with holder(tmp_path, held) as child:
        child.send_signal(signal.SIGSTOP)
        for _ in range(2):
            with getattr(gate, wanted)():
                pass
    (note,) = gate.overruns(before)
    assert f"process {child.pid} (" in note and "which is stopped" in note
    assert gate.overruns(time.time()) == []


def test_a_stopped_holder_is_not_waited_for_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.measuring.gate._SOON_SECONDS", 0.2)
    with holder(tmp_path, "exclusive") as child:
        child.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with Gate(tmp_path, patience=600.0).shared():
            assert time.monotonic() - start < 20.0


def test_a_database_that_somebody_makes_for_ever_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.writer._PATIENCE_SECONDS", 0.1)
    with take(tmp_path / "mlflow.lock"), pytest.raises(RunError, match=f"process {os.getpid()}"):
        _locked(tmp_path / "mlflow.db").__enter__()
    with _locked(tmp_path / "mlflow.db"):
        pass


def test_a_lock_file_that_is_a_link_is_neither_followed_nor_emptied(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "gate"
    gate = Gate(folder)
    (folder / "turnstile.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"), gate.shared():
        pass
    assert victim.read_text() == "precious"


def test_a_lock_takes_a_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("a line that is longer than a process's number\n")
    take(tmp_path / "lock").close()
    assert "longer than a process" in (tmp_path / "lock").read_text()
    assert (tmp_path / "lock").stat().st_uid == os.getuid()
