"""The example plugin as a stranger gets it: installed from a copy, found by its entry point."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "tiny_plugin"

QUESTIONS = """
import json
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from orchestrator.config import check_config
from orchestrator.paths import config_dir
from orchestrator.plugins import installed

found = installed()
mine = {}
for family in ("space", "objective", "compressor"):
    offered = found.offered(family).values()
    mine[family] = [entry.offer.name for entry in offered if entry.package == "orchestrator-tiny"]
path = ",".join(found.config_dirs())
with initialize_config_dir(str(config_dir()), version_base=None):
    composed = compose("config", ["+search=tiny", f"hydra.searchpath=[{path}]"])
config = check_config(OmegaConf.to_container(composed, resolve=True))
found.create("space", config.space.name, config.space.options)
for family, chosen in (("objective", config.objective), ("compressor", config.compressor)):
    for each in chosen.values():
        found.create(family, each.name, each.options)
print(json.dumps({
    "mine": mine,
    "problems": [problem.message for problem in found.problems],
    "space": config.space.name,
    "objective": [name for name, each in config.objective.items() if each.role == "objective"],
    "compressor": list(config.compressor),
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built and installed example; a copy is built, so the checkout stays."""
    folder = tmp_path_factory.mktemp("tiny")
    copy = shutil.copytree(EXAMPLE, folder / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    target = folder / "site"
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", target, copy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def _run(site: Path, *arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def answers(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = _run(site, "-c", QUESTIONS, cwd=tmp_path_factory.mktemp("elsewhere"))
    return dict(json.loads(out.splitlines()[-1]))


def test_it_offers_its_three_things(answers: dict[str, Any]) -> None:
    assert answers["problems"] == []
    assert answers["mine"] == {
        "space": ["tiny"],
        "objective": ["tiny_ram_bytes"],
        "compressor": ["tiny_codebook"],
    }


def test_plus_search_tiny_composes_and_everything_in_it_can_be_made(
    answers: dict[str, Any],
) -> None:
    assert answers["space"] == "tiny"
    assert answers["objective"] == ["accuracy", "tiny_ram_bytes", "size_bytes"]
    assert answers["compressor"] == ["tiny_codebook"]


def test_its_own_tests_pass_where_it_is_installed(site: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    out = _run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=tmp_path)
    assert " passed" in out


def test_a_stranger_searches_it_from_the_command_line(site: Path, tmp_path: Path) -> None:
    cheap = ["budget.candidates=3", "budget.finalists=1", "train.epochs=1", "train.final_epochs=1"]
    arguments = ["+search=tiny", *cheap, "dataset.image_size=16", "tracking=off", "run.dir=run"]
    out = _run(site, "-m", "orchestrator", *arguments, cwd=tmp_path)
    assert out.strip().splitlines()[-1] == "Run folder: run"
    (finalist,) = json.loads((tmp_path / "run" / "finalists.json").read_text())["finalists"]
    assert finalist["verified"]
    assert finalist["values"]["tiny_ram_bytes"] > 0
