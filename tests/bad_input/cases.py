"""A row of the table: what is typed, what is prepared before it, what must be said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["OLD", "TOY", "Case", "bundle", "edited_json", "edited_yaml", "plan", "run"]

HERE = Path(__file__).parent
OLD = HERE.parent / "old_run"
FINALIST = "0003-3417a1bd8c55"
# A search of fakes, whose plan takes no time.
TOY = (f"--config-path={HERE}", "--config-name=toy")

Prepare = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """`words` are the command line, with {tmp} for a folder of the case's own, which `prepare`
    fills; `wanted` stand in the message, whatever their case.
    """

    name: str
    words: tuple[str, ...]
    wanted: tuple[str, ...]
    prepare: Prepare | None = None


def plan(*rest: str, wanted: tuple[str, ...], prepare: Prepare | None = None) -> Case:
    """A plan of the toys with some words more."""
    return Case(" ".join(rest), ("plan", *TOY, *rest), wanted, prepare)


def run(command: str, change: Prepare, *wanted: str, name: str) -> Case:
    """A command on a copy of the old run that was changed."""

    def prepare(tmp: Path) -> None:
        change(Path(shutil.copytree(OLD, tmp / "run")))

    return Case(f"{command}: {name}", (command, "{tmp}/run"), wanted, prepare)


def bundle(command: str, change: Prepare, *wanted: str, name: str) -> Case:
    """A command on a copy of the old run's finalist that was changed."""

    def prepare(tmp: Path) -> None:
        change(Path(shutil.copytree(OLD / "models" / FINALIST, tmp / "bundle")))

    return Case(f"{command}: {name}", (command, "{tmp}/bundle"), wanted, prepare)


def edited_json(name: str, edit: Callable[[Any], Any]) -> Prepare:
    """What `edit` makes of a JSON file's values; None is what was edited in place."""

    def change(folder: Path) -> None:
        path = folder / name
        data = json.loads(path.read_text())
        made = edit(data)
        path.write_text(json.dumps(data if made is None else made))

    return change


def edited_yaml(name: str, edit: Callable[[Any], Any]) -> Prepare:
    """The same of a YAML file."""

    def change(folder: Path) -> None:
        path = folder / name
        data = yaml.safe_load(path.read_text())
        made = edit(data)
        path.write_text(yaml.safe_dump(data if made is None else made, sort_keys=False))

    return change
