"""What the facts of a finalist's folder may be, before anything is built or loaded from them.

A folder may come from a stranger: types are checked, and sizes, so that a number in a text cannot
ask for all the memory there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.contracts import ImageFacts
from orchestrator.errors import plural
from orchestrator.faults.typed import faults
from orchestrator.records import Genotype

__all__ = ["check_shape"]

# Of an architecture and what compressors drew: numbers and names, and the largest of the numbers.
_MOST_VALUES = 10_000
_LARGEST = 1_000_000


class _Facts:
    """Names of genotype.json that readers use, and what each must be."""

    genotype: dict[str, Any]
    space_options: dict[str, Any]
    task_options: dict[str, Any]
    artifacts: dict[str, dict[str, Any]]
    sha256: dict[str, str]
    recommended: str | None
    leads: dict[str, str]
    usages: dict[str, dict[str, Any]]
    left_out: list[str]
    figures: dict[str, Any]
    files: list[dict[str, Any]]
    start: dict[str, Any]
    taught_by: list[str]
    choices: dict[str, Any]


class _Artifact:
    file: str
    format: str
    exact: bool
    beside: list[str]
    runtime: str
    network: str


def check_shape(facts: Mapping[str, Any]) -> None:
    """Raise TypeError or ValueError, naming the key, for what is not as it must be."""
    for found in faults(_Facts, facts, strict=True):
        raise TypeError(found)
    for label, entry in facts["artifacts"].items():
        if missing := sorted(set(_Artifact.__annotations__) - set(entry)):
            raise TypeError(f"artifacts.{label} lacks {', '.join(missing)}")
        for found in faults(_Artifact, entry, strict=True):
            raise TypeError(f"artifacts.{label}.{found}")
    named = {"recommended": facts.get("recommended")}
    named |= {f"leads.{device}": label for device, label in facts.get("leads", {}).items()}
    for name, label in named.items():
        if label is not None and label not in facts["artifacts"]:
            raise ValueError(f"{name}: found {label!r}, expected one of its artifacts")
    ImageFacts.from_json(facts).check(strict=True)
    _check_genotype(Genotype.from_json(facts["genotype"]))


def _check_genotype(genotype: Genotype) -> None:
    steps = [step.choices for step in genotype.compression]
    values = list(_values([genotype.architecture, genotype.head, steps]))
    if len(values) > _MOST_VALUES:
        raise ValueError(
            f"genotype: found {plural(len(values), 'value')}, expected {_MOST_VALUES:,}"
        )
    large = [v for v in values if isinstance(v, (int, float)) and not abs(v) <= _LARGEST]
    if large:
        raise ValueError(f"genotype: found {large[0]:g}, expected at most {_LARGEST:,}")


def _values(stored: Any) -> Iterator[Any]:
    if isinstance(stored, Mapping):
        stored = list(stored.values())
    if isinstance(stored, (list, tuple)):
        for item in stored:
            yield from _values(item)
    else:
        yield stored
