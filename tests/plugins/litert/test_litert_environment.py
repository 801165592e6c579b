"""The converter's own environment, with interpreters that are scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import orchestrator_litert.__main__ as command
import pytest
from orchestrator_litert import environment
from orchestrator_litert.environment import Environment

from orchestrator.errors import CompileError, DeviceError
from orchestrator.plugins import installed

Made = Callable[[str], Environment]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """An environment that is ready, whose converter is a script of this interpreter."""

    def make(script: str) -> Environment:
        found = Environment(tmp_path / "litert")
        found.python.parent.mkdir(parents=True)
        found.python.symlink_to(sys.executable)
        (found.folder / "ready.json").write_text(json.dumps(environment._wanted()))
        written = tmp_path / "converter.py"
        written.write_text(script)
        monkeypatch.setattr(environment, "_SCRIPT", written)
        return found

    return make


def test_a_missing_environment_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"is none\. Type once: python -m orchestrator_litert"):
        Environment(tmp_path).check()


def test_one_of_another_torch_is_told_with_both(made: Made) -> None:
    found = made("")
    told = {**environment._wanted(), "torch": "1.0.0"}
    (found.folder / "ready.json").write_text(json.dumps(told))
    assert "is of torch 1.0.0, litert-torch" in found.obstacle()


def test_one_whose_python_is_gone_is_told(made: Made) -> None:
    found = made("")
    found.python.unlink()
    assert "has lost its Python" in found.obstacle()


def test_what_the_converter_is_asked_reaches_it_alone(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = tmp_path / "told.json"
    script = "import os, pathlib, sys; path = os.environ.get('PYTHONPATH', 'none')\n"
    script += f"pathlib.Path({str(told)!r}).write_text(path + sys.argv[1])"
    made(script).ask({"op": "convert"})
    assert told.read_text() == 'none{"op": "convert"}'


def test_the_last_line_of_a_converter_that_fails_is_its_reason(made: Made) -> None:
    found = made("import sys; print('many\\nlines', file=sys.stderr); sys.exit('KeyError: x')")
    with pytest.raises(CompileError, match=r"converter gives up: KeyError: x$"):
        found.ask({})


def test_a_converter_that_hangs_is_ended(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_MOST_SECONDS", 0.5)
    with pytest.raises(CompileError, match=r"took over 0\.5 s"):
        made("import time; time.sleep(60)").ask({})


def test_an_environment_is_ready_only_once_all_of_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def run(words: list[str]) -> None:
        assert not (tmp_path / "ready.json").exists()
        done.append(words[-1])

    monkeypatch.setattr(environment, "_run", run)
    Environment(tmp_path).make()
    assert done[1].startswith("torch==") and done[2].startswith("ai-edge-quantizer==")
    assert json.loads((tmp_path / "ready.json").read_text()) == environment._wanted()


def test_the_command_says_what_went_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path))
    monkeypatch.setattr(environment, "_run", lambda words: _refuse("pip has no network"))
    assert command.main() == 1
    assert "pip has no network" in capsys.readouterr().err


def test_a_machine_without_litert_is_told_both_commands() -> None:
    offer = installed().offered("device")["litert"]
    if not offer.missing:
        pytest.skip("ai-edge-litert is installed here")
    with pytest.raises(Exception, match=r"\[litert\].*python -m orchestrator_litert"):
        installed().create("device", "litert", {})


def _refuse(reason: str) -> None:
    raise DeviceError(reason)
