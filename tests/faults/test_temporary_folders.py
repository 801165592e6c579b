"""Temporary folders are their user's alone, and swept when their process is gone."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import RunError, disk_trouble
from orchestrator.faults import temporary
from orchestrator.faults.temporary import WorkingFolder, own_root, private, sweep
from orchestrator.measuring.gate import host_gate

_LEAVE = """
import sys, time
from pathlib import Path
from orchestrator.faults.temporary import WorkingFolder
within = Path(sys.argv[1]) if len(sys.argv) > 1 else None
folder = WorkingFolder("left", within)
(folder.path / "file").write_text("big")
print(folder.path, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / f"orchestrator-{os.getuid()}"


@pytest.mark.parametrize("beside", [False, True])
def test_what_a_killed_process_leaves_is_swept_and_what_lives_is_not(
    root: Path, tmp_path: Path, beside: bool
) -> None:
    within = [str(tmp_path / "cache")] if beside else []
    (tmp_path / "cache").mkdir()
    command = [sys.executable, "-c", _LEAVE, *within]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        left = Path(child.stdout.readline().strip())
        assert sweep(left.parent) == [] and (left / "file").exists()
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert sweep(left.parent) == [left]
    assert not left.exists()


def test_a_sweep_leaves_what_is_not_ours(root: Path, tmp_path: Path) -> None:
    for name in ("photos-20240101", "photos-20240101.part.zip", "key.part"):
        (tmp_path / name).mkdir()
    (tmp_path / "link-12345678.part").symlink_to(tmp_path / "key.part")
    before = sorted(tmp_path.iterdir())
    assert sweep(tmp_path) == []
    assert sorted(tmp_path.iterdir()) == before


def test_folders_are_for_their_user_alone(root: Path) -> None:
    with WorkingFolder("test") as folder:
        assert folder.parent == root
        for path in (folder, root, host_gate().folder):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert not folder.exists()


def test_a_folder_that_others_could_write_to_is_closed(root: Path) -> None:
    root.mkdir()
    root.chmod(0o777)
    assert stat.S_IMODE(own_root().stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_name_that_is_taken_is_refused_in_one_sentence(root: Path, kind: str) -> None:
    victim = root.parent / "victim"
    victim.mkdir()
    (root.write_text("") if kind == "file" else root.symlink_to(victim))
    with pytest.raises(RunError, match="is not a folder of yours"):
        WorkingFolder("test")
    with pytest.raises(RunError, match="is not a folder of yours"):
        host_gate()
    assert list(victim.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused(root: Path) -> None:
    root.mkdir()
    os.chown(root, 65534, 65534)
    with pytest.raises(RunError, match="belongs to user 65534"):
        private(root)


def test_a_temporary_folder_that_is_gone_is_the_machines_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(RunError, match="no temporary folder can be made"):
        WorkingFolder("test")


def test_a_folder_that_the_system_swept_is_made_again(root: Path) -> None:
    with WorkingFolder("test") as folder:
        folder.rmdir()
    working = WorkingFolder("test")
    working.path.rmdir()
    assert working.kept().path.is_dir()
    assert sweep(root) == [] and working.path.is_dir()  # it is held as the first one was
    working.close()
    assert not working.path.exists()


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept, locked = list[Path](), temporary._locked

    def late(folder: Path, kind: int) -> int | None:
        if folder.name.startswith("test-") and len(swept) < 2:
            swept.append(folder)
            folder.rmdir()
        return locked(folder, kind)

    monkeypatch.setattr(temporary, "_locked", late)
    with WorkingFolder("test") as folder:
        assert len(swept) == 2 and folder.is_dir()
        assert sweep(root) == [] and folder.is_dir()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError('IoError(Os { code: 28, kind: StorageFull, message: "…" })'),
        ValueError("[Fail] write failed: No space left on device"),
    ],
)
def test_a_full_disk_is_known_however_it_is_told(error: Exception) -> None:
    try:
        try:
            raise error
        except Exception as inner:
            raise ValueError("the exporter does not take it") from inner
    except ValueError as outer:
        assert disk_trouble(outer) is not None
    assert disk_trouble(ValueError("no space in the search left")) is None
