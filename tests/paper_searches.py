"""A paper's search, told at once what it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator import Axis, Genotype, Ground, Outcome, Record, Sampler
from orchestrator.search.proposer import Proposer

__all__ = ["ACCURACY", "COST", "MS", "Truth", "asked_of", "told"]

ACCURACY = Axis("accuracy", "share", "maximize", 0.0, leads=True)
COST = Axis("cost", "", "minimize", 100.0)
MS = Axis("latency_ms", "ms", "minimize", 100.0)

# All objectives of a network; none where it fails.
Truth = Callable[[Genotype], dict[str, float]]


def asked_of(folder: Path, sampler: Sampler, on: Ground) -> Proposer:
    folder.mkdir(exist_ok=True)
    return Proposer(folder / "journal", on, lambda seed: sampler)


def told(asked: Proposer, count: int, truth: Truth) -> list[Any]:
    """So many candidates proposed and told, by their genotypes."""
    found = []
    for _ in range(count):
        proposal = asked.propose()
        assert proposal is not None
        values = truth(proposal.genotype)
        outcome: Outcome = "feasible" if values else "failed"
        record = Record(proposal.number, proposal.genotype, outcome, values, proposal.choices)
        asked.tell(replace(record, origin=proposal.origin))
        found.append(proposal.genotype)
    return found
