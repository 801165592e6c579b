"""docs/hooks.md against hookspecs: the same hooks, arguments and order, and examples that work."""

from __future__ import annotations

import inspect
import re
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator import Genotype, Offer, Record, hookspecs, plugins
from orchestrator.records import Check

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
# What every hook must say, in this order.
POINTS = ["Arguments", "Returns", "Called", "May raise"]


def _specified() -> list[str]:
    """Names and arguments of the hooks, in the order of the file."""
    source = inspect.getsource(hookspecs)
    names = re.findall(r"^def (orchestrator_\w+)", source, re.MULTILINE)
    found = [(name, inspect.signature(getattr(hookspecs, name)).parameters) for name in names]
    return [f"{name}({', '.join(parameters)})" for name, parameters in found]


def _sections() -> dict[str, str]:
    """Heading → text of each hook."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


SECTIONS = _sections()


def test_hooks_arguments_and_order_are_those_of_the_specifications() -> None:
    assert list(SECTIONS) == _specified()


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_hook_says_arguments_returns_when_and_errors(heading: str) -> None:
    text = SECTIONS[heading]
    assert re.findall(r"^- \*\*(.+?)\*\*: \S", text, re.MULTILINE) == POINTS
    prose = text.split("```python")[0]
    arguments = re.search(r"\*\*Arguments\*\*: (.*?)\n- ", prose, re.DOTALL)
    assert arguments is not None
    for name in re.findall(r"\w+", heading.partition("(")[2]):
        assert f"`{name}`" in arguments[1]
    assert "none" in arguments[1] or "(study" in heading
    assert len(text.strip().splitlines()) >= 15


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_example_of_a_hook_is_a_plugin(heading: str, tmp_path: Path) -> None:
    name = heading.partition("(")[0]
    module = types.ModuleType("my_plugin")
    (example,) = re.findall(r"```python\n(.*?)```", SECTIONS[heading], re.DOTALL)
    exec(compile(example, f"docs/hooks.md, {name}", "exec"), module.__dict__)
    found = plugins.Plugins(plugins._manager())
    found.register(module, "mine", "mine")
    assert found.problems == []
    if name == "orchestrator_config_dirs":
        assert found.config_dirs() == ["pkg://my_plugin.conf"]
    elif name in plugins.FAMILIES.values():
        family = next(key for key, hook in plugins.FAMILIES.items() if hook == name)
        (offered,) = found.offered(family).values()
        assert isinstance(offered.offer, Offer) and offered.offer.summary
    else:
        assert found.notify(name, **_told(tmp_path)) == []
        assert [path.read_text() for path in tmp_path.iterdir()] != []


def _told(folder: Path) -> dict[str, Any]:
    """Whatever a hook that watches may ask for."""
    record = Record(3, Genotype("toy", "small", {}), "feasible")
    study = SimpleNamespace(name="toy on toys", folder=folder, records=[record])
    return {
        "study": study,
        "record": record,
        "check": Check(record, 0.8, 0.9, 2),
        "front": [record],
    }
