"""Tables of a card, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["cell", "pairs", "shown", "table"]


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table of which the first row is the heading."""
    lines = [list(map(cell, row)) for row in rows]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pairs(rows: Mapping[str, str]) -> str:
    """A Markdown table whose first item is the heading; "None." if there is nothing below."""
    return table([*rows.items()]) if len(rows) > 1 else "None."


def cell(text: str) -> str:
    """A text that leaves the table whole."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def shown(value: Any) -> str:
    """A number to six digits, other values as JSON."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
