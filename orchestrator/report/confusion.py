"""What a finalist takes for what: a matrix of few classes, the commonest mistakes of many."""

from __future__ import annotations

from collections import Counter
from typing import Any

from orchestrator.records import Finalist

__all__ = ["confusion", "mistakes"]

# More do not fit a page, and nobody reads them as a matrix.
MOST_CLASSES = 20
MOST_MISTAKES = 12


def confusion(entry: Finalist) -> dict[str, Any] | None:
    """For the page; None where a task does not tell. Rows are the truth, columns the answer."""
    if not entry.confusions:
        return None
    counts = {(truth, answer): count for truth, answer, count in entry.confusions}
    names = list(dict.fromkeys([*entry.classes, *(name for pair in counts for name in pair)]))
    rows = [[counts.get((truth, answer), 0) for answer in names] for truth in names]
    found: dict[str, Any] = {"names": [], "rows": [], "mistakes": mistakes(entry)}
    if len(names) <= MOST_CLASSES:
        found |= {"names": names, "rows": rows}
    return found


def mistakes(entry: Finalist) -> list[str]:
    """The commonest, such as "4 taken for 9: 6 of 36"; those that are left out are counted."""
    totals: Counter[str] = Counter()
    for truth, _, count in entry.confusions:
        totals[truth] += count
    wrong = [(count, truth, answer) for truth, answer, count in entry.confusions if truth != answer]
    ordered = sorted(wrong, key=lambda pair: (-pair[0], pair[1:]))
    told = [f"{t} taken for {a}: {count} of {totals[t]}" for count, t, a in ordered[:MOST_MISTAKES]]
    left = len(ordered) - len(told)
    return [*told, f"and {left} rarer ones"] if left > 0 else told
