"""What a finalist takes for what: a matrix of few classes, the commonest mistakes of many."""

from __future__ import annotations

from typing import Any

from orchestrator.analysis.confusion import matrix, mistakes
from orchestrator.errors import plural
from orchestrator.records import Finalist

__all__ = ["commonest", "confusion"]

# More do not fit a page, and nobody reads them as a matrix.
MOST_CLASSES = 20
MOST_MISTAKES = 12


def confusion(entry: Finalist) -> dict[str, Any] | None:
    """For the page; None where a task does not tell. Rows are the truth, columns the answer."""
    if not entry.confusions:
        return None
    names, rows = matrix(list(entry.classes), entry.confusions)
    fits = len(names) <= MOST_CLASSES
    shown: dict[str, Any] = {"names": names, "rows": rows} if fits else {"names": [], "rows": []}
    return {**shown, "mistakes": commonest(entry)}


def commonest(entry: Finalist) -> list[str]:
    """Mistakes such as "4 taken for 9: 6 of 36"; those that are left out are counted."""
    found = mistakes(entry.confusions)
    told = [f"{each.truth} taken for {each.answer}: {each.told}" for each in found[:MOST_MISTAKES]]
    left = len(found) - len(told)
    return [*told, f"and {plural(left, 'rarer one')}"] if left > 0 else told
