"""What the published members of families have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator import Published

__all__ = ["by_stage", "scaled"]


def scaled(paper: str, how: str, points: Mapping[str, Mapping[str, Any]]) -> dict[str, Published]:
    """A paper's networks made smaller for images of 32×32, each called "NAME-small".

    `how` says what was left out or narrowed; nobody published facts of them.
    """
    source = f"scaled from {paper}: {how}"
    return {f"{name}-small": Published(dict(each), 32, source) for name, each in points.items()}


def by_stage(**columns: Sequence[Any]) -> dict[str, Any]:
    """Choices "stages.0.NAME", "stages.1.NAME", … of each column, which has a value a stage."""
    return {
        f"stages.{index}.{name}": value
        for name, column in columns.items()
        for index, value in enumerate(column)
    }
