"""Tables of a card, in Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.faults.printable import printable

__all__ = ["cell", "pairs", "plain", "shown", "table"]

# What Markdown takes for more than a letter, each only where it would: the end of a link's text, an
# underscore at the edge of a word, the beginning of a tag or an entity.
_MARKUP = re.compile(
    r"[`*~|]|\\(?=[!-/:-@\[-`{-~])|\](?=[(\[:])|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
)
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table of which the first row is the heading."""
    lines = [list(map(cell, row)) for row in rows]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pairs(rows: Mapping[str, str]) -> str:
    """A Markdown table whose first item is the heading; "None." if there is nothing below."""
    return table([*rows.items()]) if len(rows) > 1 else "None."


def cell(text: str) -> str:
    """A text that leaves the table whole, and is shown as it is."""
    return plain(text)


def plain(text: object) -> str:
    """A text from outside, such as a class' name or a licence, of which nothing becomes markup.

    In one line, for a card is read by more than one program, of which some run what HTML it has.
    """
    told = " ".join(printable(text).split())
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), told)


def shown(value: Any) -> str:
    """A number to six digits, other values as JSON."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
