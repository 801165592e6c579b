"""The documents beside the code tell of what there is."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from orchestrator.paths import config_dir

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_that_a_document_names_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    rooms = "orchestrator|plugins|search_spaces|tests|benchmarks|examples|docs|conf"
    named = set(re.findall(rf"`((?:{rooms})/[\w./-]+)`", text))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_table_of_additions_names_every_group_that_can_be_added_to() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    # What a search is, and how it is tracked and trained, is set and not added.
    groups = {path.name for path in config_dir().iterdir() if path.is_dir()}
    groups -= {"train", "tracking"}
    assert {group for group in groups if f"`conf/{group}/`" not in table} == set()


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version("pareto-orchestrator")
    assert citation["license"] == "Apache-2.0"


def test_the_changelog_tells_of_this_version_and_of_what_is_to_come() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+)\]", text, re.MULTILINE)
    assert versions[0] == "Unreleased" and version("pareto-orchestrator") in versions


def test_hooks_before_a_commit_need_no_network() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in hooks["repos"][0]["hooks"]:
        assert hook["entry"].split()[0] in makefile, f"{hook['id']} is not what make lint runs"
