"""The table: one line a network, its name and its accuracy on validation after each epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError

__all__ = ["DEFAULT", "line_of", "read_table", "word"]

# Made by make_table.py, which stands beside this package.
DEFAULT = Path(__file__).parent / "digits_8x8.csv"


def word(architecture: Mapping[str, Any]) -> str:
    """A network's name in the table: "convolution-3-8 separable-5-24"."""
    return " ".join(
        f"{layer['operator']}-{layer['kernel']}-{layer['width']}"
        for layer in architecture["layers"]
    )


def line_of(architecture: Mapping[str, Any], curve: Sequence[float]) -> list[str]:
    """What `read_table` reads."""
    return [word(architecture), *(f"{accuracy:.3f}" for accuracy in curve)]


@cache
def read_table(path: Path) -> Mapping[str, tuple[float, ...]]:
    """Name → accuracies in [0, 1] epoch by epoch, read once a process; raises ConfigError."""
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.reader(file) if row]
        table = {name: tuple(float(text) for text in curve) for name, *curve in rows}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"estimator.table: {path} is no table ({error}); make_table.py beside "
            "the package makes one."
        ) from error
    if strange := [name for name, curve in table.items() if not _accuracies(curve)]:
        raise ConfigError(f"estimator.table: {path} tells no accuracies in [0, 1] of {strange[0]}")
    return table


def _accuracies(curve: Sequence[float]) -> bool:
    return bool(curve) and all(0 <= accuracy <= 1 for accuracy in curve)
