"""The one door for text from outside: a plugin's message, a file's name, a worker's last words.

What comes through it can be written as UTF-8, printed on a terminal without moving its cursor, and
read again by a spreadsheet; and it is no longer than people read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import plural
from orchestrator.faults.masking import masked

__all__ = ["LINE", "TEXT", "printable", "printable_values"]

# Characters that are kept of one line for a table, and of a whole traceback.
LINE, TEXT = 400, 20_000
_UNUSUAL = re.compile(r"[^\n\t\x20-\x7e]")


def printable(text: object, most: int = TEXT) -> str:
    """The text with what cannot be shown written as an escape, cut in the middle if long.

    A surrogate, as in a file's name that is not UTF-8, becomes "\\udcff"; a terminal's escape
    "\\x1b"; a mark that turns the order of letters round "\\u202e". Letters of any script stay.
    Passwords in addresses do not, see `masking`.
    """
    told = masked(text if isinstance(text, str) else str(text))
    # An escape is longer than its letter, and whatever is read again must stay as it is.
    return _clipped(_UNUSUAL.sub(_shown, _clipped(told, most)), most)


def printable_values(value: Any, most: int = LINE) -> Any:
    """JSON values, with every text in them printable."""
    if isinstance(value, str):
        return printable(value, most)
    if isinstance(value, Mapping):
        return {printable(k, most): printable_values(v, most) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(printable_values(item, most) for item in value)
    return value


def _clipped(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    left_out = f" … of {plural(len(text), 'character')} … "
    room = most - len(left_out)
    end = room // 3
    return f"{text[: room - end]}{left_out}{text[len(text) - end :]}"


def _shown(found: re.Match[str]) -> str:
    letter = found.group()
    if letter.isprintable():
        return letter
    if unicodedata.category(letter) == "Zs":  # a space that does not break, say
        return " "
    return letter.encode("unicode_escape").decode()
