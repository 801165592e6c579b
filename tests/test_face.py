"""The public face is whole: what its contracts name is on it, and its table is what there is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent
ROOT = PACKAGE.parent
CONTRACTS = sorted(path for path in (PACKAGE / "contracts").glob("*.py") if path.stem[0] != "_")
HOMES = [*CONTRACTS, PACKAGE / "records.py"]


def ours(tree: ast.Module) -> set[str]:
    """Names of a module that are Orchestrator's: defined there, or imported from it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("orchestrator"):
            found |= {alias.asname or alias.name for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def public(body: list[ast.stmt]) -> Iterator[ast.expr]:
    """Annotations, and bases, of what is public in a class or a module."""
    for node in body:
        if isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_"):
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and re.match(r"__init__$|[^_]", node.name):
            given = [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]
            yield from (item.annotation for item in given if item.annotation)
            yield from [node.returns] if node.returns else []


def named(expressions: Iterator[ast.expr]) -> set[str]:
    """Every name in some annotations, those in quotes too."""
    found: set[str] = set()
    for expression in expressions:
        for node in ast.walk(expression):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"\w+", node.value))
    return found


def target_of(node: ast.Assign) -> str:
    return ast.unparse(node.targets[0])


def mentioned() -> Iterator[tuple[str, str]]:
    """(thing on the face, name that its signatures mention), of all contracts and records."""
    for path in HOMES:
        tree = ast.parse(path.read_text())
        known = ours(tree)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name in orchestrator.__all__:
                names = named(public(node.body)) | named(iter(node.bases))
            elif isinstance(node, ast.FunctionDef) and node.name in orchestrator.__all__:
                names = named(public([node]))
            elif isinstance(node, ast.Assign) and target_of(node) in orchestrator.__all__:
                names = named(iter([node.value]))
            else:
                continue
            label = target_of(node) if isinstance(node, ast.Assign) else node.name
            yield from ((label, name) for name in sorted(names & known))


def test_every_name_in_a_contract_s_signatures_is_on_the_face() -> None:
    missing = {name: by for by, name in mentioned() if name not in orchestrator.__all__}
    assert missing == {}


def test_the_names_above_are_found_at_all() -> None:
    found = set(mentioned())
    expected = {("SearchSpace", "Trial"), ("EstimationContext", "TrainConfig"), ("Study", "Check")}
    assert expected <= found


def test_every_name_of_the_face_is_there() -> None:
    assert len(set(orchestrator.__all__)) == len(orchestrator.__all__)
    assert [name for name in orchestrator.__all__ if not hasattr(orchestrator, name)] == []


def test_what_hooks_are_told_is_on_the_face() -> None:
    tree = ast.parse((PACKAGE / "hookspecs.py").read_text())
    assert named(public(tree.body)) & ours(tree) <= set(orchestrator.__all__)


def test_the_table_of_rooms_is_the_folders_there_are() -> None:
    told = re.findall(r"^    (\w+)/ +\S", orchestrator.__doc__ or "", re.M)
    assert sorted(told) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    beside = re.findall(r"`(\w+)`", (orchestrator.__doc__ or "").partition("Beside them")[2])
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert set(beside) == modules


def test_the_face_is_light() -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "onnx", "onnxruntime", "plotly", "pydantic"}
    code = f"import sys, orchestrator; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- the import rules hold for everything -------------------------------------------------------


def rules() -> dict[str, list[str]]:
    """The modules that each import contract of that name lists."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (independent,) = [item for item in tool["contracts"] if item["type"] == "independence"]
    (protected,) = [item for item in tool["contracts"] if item["type"] == "protected"]
    (layers,) = [item for item in tool["contracts"] if item["type"] == "layers"]
    return {
        "roots": tool["root_packages"],
        "independent": independent["modules"],
        "protected": protected["protected_modules"],
        "rooms": re.findall(r"\w+", " ".join(layers["layers"])),
    }


def packages() -> list[str]:
    """Every folder of plugins and of search spaces that Python could import."""
    found = [path.parent.name for path in ROOT.glob("plugins/*/__init__.py")]
    return sorted(found + [path.parent.name for path in ROOT.glob("search_spaces/*/__init__.py")])


@pytest.mark.parametrize("listed", ["roots", "independent"])
def test_every_plugin_and_space_is_held_to_the_import_rules(listed: str) -> None:
    folders = [p for name in ("plugins", "search_spaces") for p in (ROOT / name).iterdir()]
    stray = [p.name for p in folders if p.is_dir() and p.name[0] not in "._"]
    assert sorted(stray) == packages()
    assert sorted(set(rules()[listed]) - {"orchestrator"}) == packages()


def test_every_plugin_is_loaded() -> None:
    from orchestrator.plugins import BUILT_IN

    assert set(packages()) <= set(BUILT_IN)


def test_every_room_and_module_has_its_place_and_is_closed_to_plugins() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert set(rules()["rooms"]) == rooms | modules
    open_ones = {"errors", "testing", "__main__"}
    closed = {name.removeprefix("orchestrator.") for name in rules()["protected"]}
    assert closed == (rooms | modules) - open_ones


def test_the_root_lists_at_most_ten_modules() -> None:
    assert len([path for path in PACKAGE.glob("*.py") if path.stem != "__init__"]) <= 10
