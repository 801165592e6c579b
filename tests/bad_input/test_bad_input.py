"""Whatever is wrong with what a person gives: one message, exit status 2, nothing half-written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cases import Case
from command_cases import COMMANDS
from config_cases import CONFIG
from data_cases import DATA
from plugin_cases import PLUGINS
from stored_cases import STORED

from orchestrator.cli.commands import main

TABLE = [*CONFIG, *DATA, *PLUGINS, *STORED, *COMMANDS]


@pytest.fixture
def offered(toys: None) -> Iterator[None]:
    """The toys, and what misbehaves, as an installed plugin of a package called "ours"."""
    from late_misbehaving import LateMisbehaving
    from misbehaving import Misbehaving

    from orchestrator.plugins import installed

    plugins, ours = installed(), {"misbehaving": Misbehaving(), "late": LateMisbehaving()}
    for name, plugin in ours.items():
        plugins.register(plugin, name, "ours")
    yield
    for name in filter(plugins.manager.has_plugin, ours):
        plugins.manager.unregister(name=name)
        del plugins.packages[name]
    plugins.problems.clear()


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name[:90])
def test_it_is_refused_in_one_message(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if case.prepare is not None:
        case.prepare(tmp_path)
    before = _contents(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([word.replace("{tmp}", str(tmp_path)) for word in case.words])
    message = capsys.readouterr().err
    assert end.value.code == 2, message
    assert "Traceback" not in message
    for text in case.wanted:
        assert text.replace("{tmp}", str(tmp_path)).lower() in message.lower()
    assert _contents(tmp_path) == before


def test_the_table_is_long_and_says_nothing_twice() -> None:
    assert len(TABLE) >= 120
    assert len({case.name for case in TABLE}) == len(TABLE)


def _contents(folder: Path) -> dict[str, str]:
    """Each file below a folder, by what it holds; who held a folder is nothing that was written."""
    found = [path for path in folder.rglob("*") if path.exists() and path.name != "lock"]
    return {str(path.relative_to(folder)): _told(path) for path in found}


def _told(path: Path) -> str:
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return "folder" if path.is_dir() else os.fspath(path)
