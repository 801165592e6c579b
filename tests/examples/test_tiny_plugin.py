"""The example plugin as a stranger gets it: installed from a copy, found by its entry point."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from installing import EXAMPLES, install, run

EXAMPLE = EXAMPLES / "tiny_plugin"

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
    return install("tiny_plugin", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def answers(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = run(site, "-c", QUESTIONS, cwd=tmp_path_factory.mktemp("elsewhere"))
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
    out = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=tmp_path)
    assert " passed" in out


def test_a_stranger_searches_it_from_the_command_line(site: Path, tmp_path: Path) -> None:
    cheap = ["budget.candidates=3", "budget.finalists=1", "train.epochs=1", "train.final_epochs=1"]
    arguments = ["+search=tiny", *cheap, "dataset.image_size=16", "tracking=off", "run.dir=run"]
    out = run(site, "-m", "orchestrator", *arguments, cwd=tmp_path)
    assert out.strip().splitlines()[-1] == "Run folder: run"
    (finalist,) = json.loads((tmp_path / "run" / "finalists.json").read_text())["finalists"]
    assert finalist["verified"]
    assert finalist["values"]["tiny_ram_bytes"] > 0
