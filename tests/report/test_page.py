"""The page's modules become one script: their order, their names, and that nothing is left over."""

from __future__ import annotations

import re

import pytest

from orchestrator.report.writing import SCRIPTS, _asset, _plain_script

IMPORT = re.compile(r'^import \{ ([^}]*) \} from "\./([\w.]+)";$', re.MULTILINE)
DECLARED = re.compile(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
EXPORTED = re.compile(r"^export (?:function|const) (\w+)", re.MULTILINE)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_module_imports_from_those_before_it_only(name: str) -> None:
    before = SCRIPTS[: SCRIPTS.index(name)]
    for names, source in IMPORT.findall(_asset(name)):
        assert source in before
        assert set(re.findall(r"\w+", names)) <= set(EXPORTED.findall(_asset(source)))


@pytest.mark.parametrize("name", SCRIPTS)
def test_neither_import_nor_export_reaches_the_page(name: str) -> None:
    plain = _plain_script(_asset(name))
    assert not re.search(r"^\s*(import|export)\b", plain, re.MULTILINE)
    assert DECLARED.findall(plain) == DECLARED.findall(_asset(name))


def test_no_name_is_declared_twice_in_the_one_script() -> None:
    names = [found for name in SCRIPTS for found in DECLARED.findall(_asset(name))]
    assert len(names) > 60
    assert sorted(names) == sorted(set(names))


def test_every_module_of_the_folder_is_in_the_page() -> None:
    from importlib import resources

    folder = resources.files("orchestrator.report") / "page"
    assert {f.name for f in folder.iterdir() if f.name.endswith(".js")} == set(SCRIPTS)
