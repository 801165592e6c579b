"""What every file of the repository keeps to: size, names, and nothing left for later."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 450
MOST_FUNCTION_LINES = 60
# A room is named after what it offers; these names offer anything.
NO_ROOMS = {"utils", "util", "helpers", "helper", "common", "misc", "core", "lib"}
# Built from parts, so that this file does not find itself.
LATER = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
# What is counted in sentences, and what may stand before it.
THINGS = re.compile(
    r" ((held-out|random|rarer|test|trained|training) )?(activation|anchor|block|candidate|channel|"
    r"class|element|entrie|epoch|file|finalist|genotype|group|image|layer|network|one|other|"
    r"parameter|range|run|seed|split|step|tensor|time|training|value|variant|worker)(e?s)\b"
)
TEXT = {".py", ".js", ".css", ".html", ".md", ".yaml", ".yml", ".toml", ".json", ".cff", ".txt", ""}


def _files() -> list[Path]:
    """What git knows of, new files included; all files where there is no git."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout: no list of its files", allow_module_level=True)
    paths = [ROOT / name for name in done.stdout.splitlines()]
    return [path for path in paths if path.is_file()]


FILES = _files()
PYTHON = [path for path in FILES if path.suffix == ".py"]


def test_files_of_tests_have_names_of_their_own() -> None:
    """Or pytest, which imports them by these, stops at the second one."""
    counts = Counter(path.name for path in PYTHON if path.name.startswith("test_"))
    assert [name for name, count in counts.items() if count > 1] == []


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of every function, its decorators left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_long() -> None:
    sources = [path for path in FILES if path.suffix in (".py", ".js")]
    lines = {_named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert len(lines) > 200
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    found = {
        f"{_named(path)}: {name}": lines for path in PYTHON for name, lines in _functions(path)
    }
    assert len(found) > 1000
    assert {name: count for name, count in found.items() if count > MOST_FUNCTION_LINES} == {}


def _counted(path: Path) -> Iterator[str]:
    """Numbers in front of things in texts, other than those that `errors.plural` puts there."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source if THINGS.search(source) else "")):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for number, text in pairwise(parts):
            words = text.value if isinstance(text, ast.Constant) else ""
            if isinstance(number, ast.FormattedValue) and THINGS.match(str(words)):
                yield ast.unparse(number.value)


def test_one_of_a_thing_is_never_told_as_several() -> None:
    rooms = [ROOT / "orchestrator", ROOT / "plugins", ROOT / "search_spaces"]
    told = [path for path in PYTHON if any(path.is_relative_to(room) for room in rooms)]
    found = {_named(path): list(_counted(path)) for path in told if "testing" not in path.parts}
    assert len(found) > 300
    no_counts = {"orchestrator/bundle/card.py": ["name"]}  # of a split
    no_counts |= {"orchestrator/contracts/runtime.py": ["', '.join(sorted(self.formats))"]}
    large = {"orchestrator/cli/inspecting.py": ["human(parameters, '')"]}
    large |= {"orchestrator/cli/terminal.py": ["plan.space_size"]}
    assert {name: told for name, told in found.items() if told} == {**no_counts, **large}


def test_every_room_has_a_name_of_its_own() -> None:
    parts = {part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts}
    assert parts & NO_ROOMS == set()


def test_nothing_is_left_for_later() -> None:
    texts = [path for path in FILES if path.suffix in TEXT]
    left = [
        f"{_named(path)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if LATER.search(line)
    ]
    assert left == []


def test_every_room_is_tested_in_a_folder_of_its_name() -> None:
    rooms = [path for path in (ROOT / "orchestrator").iterdir() if (path / "__init__.py").is_file()]
    untested = {
        room.name for room in rooms if not any((ROOT / "tests" / room.name).glob("test_*.py"))
    }
    assert untested == set()
