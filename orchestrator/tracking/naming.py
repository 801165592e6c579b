"""Names and descriptions that a reader understands who saw nothing of the search."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.analysis.display import human, label, unit_of
from orchestrator.records import Record

if TYPE_CHECKING:
    from orchestrator.contracts.objective import Axis

__all__ = ["clipped", "description", "key", "last_line", "links", "model_name", "note", "title"]

# Characters MLflow takes in a description, and those that still read well in a tag.
NOTE_CHARACTERS = 7500
TAG_CHARACTERS = 250
# More runs than this make the compare page unreadable.
COMPARED = 30
# MLflow's lists cut a name after some forty characters.
SHORT = {"accuracy": "acc", "parameters": "params"}
QUERY = "workflowType=machine_learning"


def title(record: Record, axes: Sequence[Axis]) -> str:
    """A run's name: "0007 98.1 % acc · 1.2 M MACs · 3.1 ms", "0009 failed: train"."""
    number = f"{record.number:04d}"
    if record.outcome == "failed":
        return f"{number} failed: {record.step or last_line(record.error)}"
    if record.outcome == "rejected":
        return f"{number} rejected: {_excess(record)}"
    early = "stopped early · " if record.outcome == "stopped" else ""
    units = Counter(axis.unit for axis in axes)
    # The unit tells which figure a time is, unless there are two.
    parts = [
        human(value, axis.unit) if axis.unit == "ms" and units["ms"] == 1 else _named(value, axis)
        for axis, value in _known(record, axes)
    ]
    return f"{number} {early}{' · '.join(parts)}".rstrip(" ·")


def note(record: Record, axes: Sequence[Axis]) -> str:
    """A candidate's description; four lines of it are shown at once."""
    told = {
        "feasible": "Feasible: every budget is kept.",
        "rejected": f"Rejected: {record.reason or _excess(record)}",
        "stopped": f"Stopped early: {record.reason}",
        "failed": f"Failed at {record.step}: {last_line(record.error)} (all of it: error.txt)",
    }[record.outcome]
    origin = f"Proposed by {record.origin}; candidate.json has all that is known of it."
    lines = [f"**{told}**", _figures(record, axes), origin]
    return "  \n".join(line for line in lines if line)[:NOTE_CHARACTERS]


def description(summary: str, guide: str = "") -> str:
    """A search's description: the summary's first paragraph, the `guide`, then its table."""
    result, _, table = summary.partition("\n\n")
    whole = "\n\n".join(part for part in (result, guide, table) if part)
    return whole[:NOTE_CHARACTERS]


def links(experiment: str, runs: Mapping[str, str]) -> str:
    """Links to the front's runs (name → run id), side by side and one by one."""
    chosen = dict(list(runs.items())[:COMPARED])
    if not chosen:
        return ""
    ids = ",".join(f"%22{run_id}%22" for run_id in chosen.values())
    together = f"#/compare-runs?runs=[{ids}]&experiments=[%22{experiment}%22]&{QUERY}"
    single = [
        f"[{name}](#/experiments/{experiment}/runs/{run_id}?{QUERY})"
        for name, run_id in chosen.items()
    ]
    return f"[Compare the front side by side]({together}), or one by one: " + ", ".join(single)


def model_name(tags: Mapping[str, str], name: str) -> str:
    """The registered model that finalists of like searches are versions of."""
    parts = [tags[what] for what in ("space", "dataset", "device") if tags.get(what)]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts or [name]))


def key(name: str) -> str:
    """MLflow's names: letters, digits, underscores, dashes, dots, spaces, colons, slashes."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def clipped(text: str) -> str:
    """Short enough for a tag or a parameter."""
    return text if len(text) <= TAG_CHARACTERS else text[: TAG_CHARACTERS - 1] + "…"


def last_line(text: str) -> str:
    """Of a traceback: the error itself."""
    lines = text.strip().splitlines()
    return clipped(lines[-1]) if lines else ""


def _figures(record: Record, axes: Sequence[Axis]) -> str:
    return " · ".join(
        f"{human(value, axis.unit)} {label(axis.name)}" for axis, value in _known(record, axes)
    )


def _named(value: float, axis: Axis) -> str:
    name = label(axis.name)
    return f"{human(value, axis.unit)} {SHORT.get(name, name)}"


def _known(record: Record, axes: Sequence[Axis]) -> list[tuple[Axis, float]]:
    return [(axis, record.values[axis.name]) for axis in axes if axis.name in record.values]


def _excess(record: Record) -> str:
    over = [
        f"{label(name)} {human(excess, unit_of(name))} off budget"
        for name, excess in record.violations.items()
    ]
    return ", ".join(over) or record.reason
