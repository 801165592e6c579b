"""A third-party package of your own, made from the example."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

from orchestrator.errors import ConfigError, RunError
from orchestrator.paths import example_dir
from orchestrator.plugins import FAMILIES, installed

__all__ = ["write_plugin"]

_EXAMPLE = "tiny"


def write_plugin(name: str, parent: Path) -> Path:
    """Write `parent`/`name`, a package with a space, an objective, a compressor and tests.

    `name` is lower-case letters and digits; it names the package orchestrator-`name`, its entry
    point and its search. Raises ConfigError for another name, or one that is taken, and RunError
    if the folder exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]{0,63}", name):
        raise ConfigError(
            f"{name!r} cannot name a plugin: expected at most 64 lower-case letters and digits, "
            "beginning with a letter, for example edge."
        )
    if taken := _taken(name):
        raise ConfigError(f"{name!r} cannot name a plugin: {taken}. Choose another name.")
    if not parent.is_dir():
        raise RunError(f"{parent} is no folder. Make it first, or name another by --folder.")
    target = parent / name
    if target.exists():
        raise RunError(f"{target} exists already. Choose another name or another folder.")
    shutil.copytree(example_dir(), target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    # Innermost first, so that a renamed folder does not move what is still to be renamed.
    for path in sorted(target.rglob("*"), key=lambda path: -len(path.parts)):
        if path.is_file():
            path.write_text(_renamed(path.read_text("utf-8"), name), "utf-8")
        path.rename(path.with_name(_renamed(path.name, name)))
    return target


def _taken(name: str) -> str:
    """What has this name, so that neither would be found beside the other; else empty."""
    if importlib.util.find_spec(f"orchestrator_{name}"):
        return f"there is a package orchestrator_{name}"
    offers = installed()
    families = [family for family in FAMILIES if name in offers.offered(family)]
    return f"{families[0]}={name} is there already" if families else ""


def _renamed(text: str, name: str) -> str:
    text = text.replace(f"examples/{_EXAMPLE}_plugin", name)
    return text.replace(_EXAMPLE, name).replace(_EXAMPLE.capitalize(), name.capitalize())
