"""Output to what cannot show every letter, such as a terminal of Latin-1."""

from __future__ import annotations

import codecs
import io
from typing import TextIO

__all__ = ["write_anything"]

_READABLE = "orchestrator-readable"
# What tables and sentences of ours are made of, as ASCII has it.
_PLAIN = {
    **dict.fromkeys("–—−", "-"),
    "…": "...",
    "→": "->",
    "↓": "v",
    "×": "x",
    "·": "-",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "★": "*",
    "⚠": "!",
    "\u00a0": " ",
}


def write_anything(*streams: TextIO) -> None:
    """Let streams write what their encoding has no letter for: as ASCII, else as its number.

    Nothing is left out, and a name that is not UTF-8 ends no command.
    """
    codecs.register_error(_READABLE, _replaced)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_READABLE)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    told = (_PLAIN.get(each) or _numbered(each) for each in letters)
    return "".join(told), error.end


def _numbered(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()
