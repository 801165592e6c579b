from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.measuring.gate import Gate, host_gate

_SOON_S = 0.2
_PATIENCE_S = 20.0

_HOLD = """
import sys, time
from pathlib import Path
from orchestrator.measuring.gate import Gate
with getattr(Gate(Path(sys.argv[1])), sys.argv[2])():
    print("held", flush=True)
    time.sleep(600)
"""

# A training: hundreds of short holds, with next to nothing in between.
_TRAIN = """
import sys, time
from pathlib import Path
from orchestrator.measuring.gate import Gate
gate = Gate(Path(sys.argv[1]))
print("held", flush=True)
while True:
    with gate.shared():
        time.sleep(0.005)
"""


@contextmanager
def process(source: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", source, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "held\n"
            yield child
        finally:
            child.kill()


@contextmanager
def waiting(gate: Gate, kind: str) -> Iterator[threading.Event]:
    """A thread that wants the gate; the event is set once it has it."""
    entered = threading.Event()

    def enter() -> None:
        with getattr(gate, kind)():
            entered.set()

    thread = threading.Thread(target=enter, daemon=True)
    thread.start()
    yield entered
    thread.join(_PATIENCE_S)


def test_trainings_share_the_gate(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with process(_HOLD, tmp_path, "shared"), waiting(gate, "shared") as entered:
        assert entered.wait(_PATIENCE_S)


@pytest.mark.parametrize(
    ("holder", "newcomer"),
    [("shared", "exclusive"), ("exclusive", "shared"), ("exclusive", "exclusive")],
)
def test_a_measurement_is_alone_across_processes(
    tmp_path: Path, holder: str, newcomer: str
) -> None:
    gate = Gate(tmp_path)
    with process(_HOLD, tmp_path, holder) as child, waiting(gate, newcomer) as entered:
        assert not entered.wait(_SOON_S)
        child.terminate()
        assert entered.wait(_PATIENCE_S)


@pytest.mark.parametrize("holder", ["shared", "exclusive"])
def test_a_killed_holder_frees_the_gate(tmp_path: Path, holder: str) -> None:
    gate = Gate(tmp_path)
    with process(_HOLD, tmp_path, holder) as child, waiting(gate, "exclusive") as entered:
        assert not entered.wait(_SOON_S)
        child.send_signal(signal.SIGKILL)
        assert entered.wait(_PATIENCE_S)


def test_a_process_killed_while_it_waits_blocks_nobody(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    queue = "print('held', flush=True)\n" + _HOLD
    with gate.shared(), process(queue, tmp_path, "exclusive") as child:
        time.sleep(_SOON_S)
        child.kill()
        child.wait()
        with waiting(gate, "shared") as entered:
            assert entered.wait(_PATIENCE_S)


def test_a_stream_of_trainings_does_not_starve_a_measurement(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with process(_TRAIN, tmp_path), process(_TRAIN, tmp_path), process(_TRAIN, tmp_path):
        for _ in range(5):
            start = time.monotonic()
            with gate.exclusive():
                assert time.monotonic() - start < 5


def test_an_error_inside_frees_the_gate(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with pytest.raises(ZeroDivisionError), gate.exclusive():
        raise ZeroDivisionError
    with waiting(gate, "exclusive") as entered:
        assert entered.wait(_PATIENCE_S)


def test_a_started_program_does_not_inherit_the_gate(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with gate.exclusive():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with waiting(gate, "exclusive") as entered:
            assert entered.wait(_PATIENCE_S)
    finally:
        child.kill()
        child.wait()


def test_a_swept_folder_is_made_again(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    shutil.rmtree(gate.folder)
    with gate.shared():
        assert gate.folder.is_dir()


def test_a_sleeper_whose_lock_file_was_swept_takes_the_new_one(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with process(_HOLD, tmp_path, "exclusive") as first, waiting(gate, "exclusive") as entered:
        time.sleep(_SOON_S)
        for lock in tmp_path.iterdir():
            lock.unlink()
        with process(_HOLD, tmp_path, "exclusive") as second:
            first.kill()
            assert not entered.wait(_SOON_S)
            second.kill()
            assert entered.wait(_PATIENCE_S)


def test_the_gate_of_a_host_is_one_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert host_gate().folder == tmp_path / f"orchestrator-{os.getuid()}" / "gate"
    assert pickle.loads(pickle.dumps(host_gate())).folder == host_gate().folder


def test_a_training_step_pays_little_for_the_gate(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    start = time.perf_counter()
    for _ in range(200):
        with gate.shared():
            pass
    assert (time.perf_counter() - start) / 200 < 2e-3
