from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.commands import main


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    main(["new-plugin", "edge", "--folder", str(folder)])
    return folder / "edge"


def test_nothing_of_the_example_is_left_in_it(package: Path) -> None:
    files = [path for path in package.rglob("*") if path.is_file()]
    assert (package / "src" / "orchestrator_edge" / "conf" / "search" / "edge.yaml") in files
    assert not any("tiny" in (path.name + path.read_text()).lower() for path in files)


def test_its_own_tests_pass(package: Path) -> None:
    source = os.pathsep.join([str(package / "src"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        command,
        cwd=package,
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["Edge", "edge-tpu", "4d", ""])
def test_a_name_that_cannot_be_a_package_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["new-plugin", name, "--folder", str(tmp_path)])
    assert end.value.code == 2
    assert "lower-case letters" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["spaces", "mobilenetv3", "accuracy"])
def test_a_name_that_is_taken_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["new-plugin", name, "--folder", str(tmp_path)])
    assert end.value.code == 2
    assert f"{name!r} cannot name a plugin: " in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_a_folder_that_exists_is_kept(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["new-plugin", "edge", "--folder", str(package.parent)])
    assert end.value.code == 2
    assert "exists already" in capsys.readouterr().err
