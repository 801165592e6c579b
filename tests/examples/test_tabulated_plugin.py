"""The tabulated example: its own tests where it is installed, and the whole story on its table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from installing import EXAMPLES, install, run

CANDIDATES = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("tabulated_plugin", tmp_path_factory.mktemp("tabulated"))


def test_its_own_tests_pass_where_it_is_installed(site: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "tabulated_plugin" / "tests", tmp_path / "tests")
    out = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=tmp_path)
    assert " passed" in out


def test_a_search_of_the_table_trains_its_finalists_alone(site: Path, tmp_path: Path) -> None:
    paid = [f"budget.candidates={CANDIDATES}", "budget.finalists=1", "train.final_epochs=1"]
    arguments = ["+search=tabulated", *paid, "tracking=off", "run.dir=run"]
    out = run(site, "-m", "orchestrator", *arguments, cwd=tmp_path)
    assert out.strip().splitlines()[-1] == "Run folder: run"
    rows = (tmp_path / "run" / "candidates.csv").read_text().splitlines()
    assert len(rows) == 1 + CANDIDATES
    (finalist,) = json.loads((tmp_path / "run" / "finalists.json").read_text())["finalists"]
    assert finalist["verified"]
