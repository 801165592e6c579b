"""Nothing is written into a run's folder before it is held, and what is held is held once."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import ConfigError, DeviceError, RunError
from orchestrator.paths import run_dir
from orchestrator.search.address import check_address
from orchestrator.study import plan_of
from orchestrator.study.run_folder import RunFolder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_search_in_a_folder_is_refused_before_it_writes(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    with first.claimed():
        before = contents(first.path)
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"), second.claimed():
            pass
        assert contents(first.path) == before == {"lock": f"{os.getpid():<11}\n".encode()}


@pytest.mark.parametrize("name", ["config.yaml", "study.journal"])
def test_a_folder_that_holds_a_search_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("first")
    with pytest.raises(RunError, match="holds a search already"), RunFolder(tmp_path).claimed():
        pass
    assert (tmp_path / name).read_text() == "first"


def test_a_search_that_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "new" / "run").claimed():
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_things_of_its_user_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path).claimed():
        raise ZeroDivisionError
    assert contents(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("name", ["x" * 300, "file/run", "nul\0"])
def test_a_folder_that_cannot_be_is_one_message(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), RunFolder(tmp_path / name).claimed():
        pass


def test_what_a_killed_writer_left_half_is_gone_after_a_resume(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    parts = [tmp_path / ".plan.json.ab12.part", tmp_path / "results" / ".0003.json.cd34.part"]
    for part in parts:
        part.write_text("{")
    with RunFolder(tmp_path).held():
        assert not any(part.exists() for part in parts)


def test_a_run_without_its_list_of_packages_can_go_on(tmp_path: Path) -> None:
    assert RunFolder(tmp_path).environment() == {}


def test_two_searches_of_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import datetime

    monkeypatch.chdir(tmp_path)
    now, found = datetime(2030, 1, 1), []
    for _ in range(3):
        found.append(run_dir("toy", now))
        found[-1].mkdir(parents=True)
    assert len(set(found)) == 3
    assert found[1].name == f"{found[0].name}-2"


def test_an_address_where_nobody_listens_is_told_in_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.search.address._PATIENCE_SECONDS", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address, start = f"127.0.0.1:{free.getsockname()[1]}", time.monotonic()
        with pytest.raises(DeviceError, match=f"no Ray cluster answers at run.address={address}"):
            check_address(address)
        assert time.monotonic() - start < 10.0
        free.listen()
        check_address(address)
        check_address(f"ray://{address}")


def test_a_plan_asks_for_cluster_and_folder_before_all_else(tmp_path: Path) -> None:
    """Whose names it takes of a configuration, which is never looked at further."""
    (tmp_path / "taken").write_text("")

    def planned(**run: str) -> None:
        told: Any = SimpleNamespace(run=SimpleNamespace(**{"address": None, "dir": None, **run}))
        plan_of(told)

    with pytest.raises(ConfigError, match=r"expected HOST:PORT"):
        planned(address="nowhere")
    with pytest.raises(RunError, match=r"taken/run cannot be written"):
        planned(dir=str(tmp_path / "taken" / "run"))
    with pytest.raises(AttributeError):  # all is well, and the rest of it is asked for
        planned(dir=str(tmp_path / "new" / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("address", ["", "host", "host:", "host:99999", ":6379", "host:name"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(ConfigError, match=r"expected HOST:PORT"):
        check_address(address)
