"""What a plugin does costs its candidate; what the machine does costs none."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from ray.exceptions import RayError
from toy_factory import factory, genotype
from toys import Odd, ToyDevice, toy_latencies

from orchestrator.candidate.evaluation import evaluate
from orchestrator.errors import (
    CompileError,
    DataError,
    DeviceError,
    OrchestratorError,
    PluginError,
    RunError,
    WeightsError,
)
from orchestrator.records import Record
from orchestrator.search.ends import _told

pytestmark = pytest.mark.usefixtures("toys")

Answer = Callable[[], Any]


def raising(error: BaseException) -> Answer:
    def answer() -> NoReturn:
        raise error

    return answer


def wrapped(inner: Exception) -> Answer:
    def answer() -> NoReturn:
        try:
            raise inner
        except Exception as error:
            raise CompileError("the exporter does not take it") from error

    return answer


def deep() -> Any:
    return deep()


class Untold(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


BY_A_PLUGIN: dict[str, Answer] = {
    "text that is no text": raising(RuntimeError("bad \x00\x1b[31m \ud800 text")),
    "a megabyte of text": raising(RuntimeError("x" * 2**20)),
    "no text": raising(RuntimeError()),
    "an exit": raising(SystemExit(3)),
    "a missing file": raising(FileNotFoundError(errno.ENOENT, "No such file", "gone")),
    "a file that is another's": raising(PermissionError(errno.EACCES, "Permission denied")),
    "too much memory": raising(MemoryError()),
    "no end": deep,
    "a key": raising(KeyError("\ud800")),
    "a group": raising(ExceptionGroup("several", [ValueError("one"), TypeError("two")])),
    "an assertion": raising(AssertionError()),
    "a stop": raising(StopIteration()),
    "an interrupt of its own kind": raising(type("Own", (BaseException,), {})("enough")),
    "an error that cannot be told": raising(Untold()),
    "nothing": lambda: None,
    "a text": lambda: "five",
    "not a number": lambda: float("nan"),
}
BY_THE_MACHINE: dict[str, tuple[Answer, type[OrchestratorError]]] = {
    "a full disk": (raising(OSError(errno.ENOSPC, "No space left on device")), RunError),
    "a full disk in a library": (wrapped(OSError(errno.ENOSPC, "No space left")), RunError),
    "a full disk in C++": (
        raising(RuntimeError("write failed: No space left on device")),
        RunError,
    ),
    "a disk that only reads": (raising(OSError(errno.EROFS, "Read-only file system")), RunError),
    "a disk that fails": (raising(OSError(errno.EIO, "Input/output error")), RunError),
    "a device that is gone": (raising(DeviceError("no answer")), DeviceError),
}


def evaluated(folder: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch) -> Record:
    monkeypatch.setattr(Odd, "measure", lambda self, subject: answer())
    made = factory(folder, objective={"odd": {"name": "odd"}})
    return evaluate((7, genotype()), [], made, toy_latencies)


@pytest.mark.parametrize("what", BY_A_PLUGIN)
def test_whatever_a_plugin_does_fails_its_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    record = evaluated(tmp_path, BY_A_PLUGIN[what], monkeypatch)
    assert (record.outcome, record.step) == ("failed", "objective odd")
    assert record.reason.isprintable() and record.reason
    stored = json.dumps(record.to_json(), ensure_ascii=False).encode("utf-8")
    assert len(stored) < 60_000
    assert Record.from_json(json.loads(stored)) == record


@pytest.mark.parametrize("what", BY_THE_MACHINE)
def test_whatever_the_machine_does_fails_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    answer, kind = BY_THE_MACHINE[what]
    with pytest.raises(kind):
        evaluated(tmp_path, answer, monkeypatch)


def test_a_temporary_folder_that_is_gone_fails_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(RunError, match="no temporary folder can be made"):
        evaluate((7, genotype()), [], made, toy_latencies)


def test_a_device_that_writes_no_file_fails_its_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = ToyDevice.compile

    def forgotten(*arguments: Any, **options: Any) -> Any:
        artifact = compiled(*arguments, **options)
        artifact.path.unlink()
        return artifact

    monkeypatch.setattr(ToyDevice, "compile", forgotten)
    record = evaluate((7, genotype()), [], factory(tmp_path), toy_latencies)
    assert record.outcome == "failed" and "cannot be read" in record.reason


_ON_A_FULL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from toy_factory import factory, genotype
from toys import ToyPlugin, toy_latencies
from orchestrator.candidate.evaluation import evaluate
from orchestrator.errors import RunError
from orchestrator.plugins import installed
installed().register(ToyPlugin(), "toys", "toys")
made = factory(Path(sys.argv[2]))
try:
    Path("/mnt/filler").write_bytes(bytes(2**22))
except OSError:
    pass
try:
    print(evaluate((7, genotype()), [], made, toy_latencies).outcome)
except RunError as error:
    print("RunError", error)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can mount a small disk"
)
def test_a_temporary_folder_that_is_full_fails_none(tmp_path: Path) -> None:
    mounted = f"mount -t tmpfs -o size=1m none /mnt && exec {sys.executable} -c '{_ON_A_FULL_DISK}'"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mounted} {Path(__file__).parents[1]} {tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": "/mnt"},
    )
    assert done.stdout.startswith("RunError"), done.stdout + done.stderr[-2000:]
    assert "free some disk space" in done.stdout.lower()


@pytest.mark.parametrize("kind", [DataError, PluginError, WeightsError, RunError, DeviceError])
def test_what_no_worker_can_set_up_fails_no_candidate(kind: type[OrchestratorError]) -> None:
    told = RayError()
    told.cause = kind("the folder of images is gone")
    assert _told(told).kind == "fatal"
    told.cause = ValueError("only this one")
    assert _told(told).kind == "raised"


def test_a_folder_of_rays_that_is_swept_fails_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = RayError()
    told.cause = FileNotFoundError(errno.ENOENT, "No such file or directory", "worker.out")
    node = SimpleNamespace(get_session_dir_path=lambda: str(tmp_path / "session"))
    monkeypatch.setattr("ray._private.worker._global_node", node)
    assert isinstance(_told(told).fatal, RunError)
    (tmp_path / "session").mkdir()
    assert _told(told).kind == "raised"
