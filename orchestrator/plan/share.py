"""How much of a space keeps the budgets that can be counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.analysis.certainty import wilson
from orchestrator.candidate.assembly import excess
from orchestrator.candidate.factory import Factory
from orchestrator.errors import CandidateError
from orchestrator.training.building import draw_plain
from orchestrator.trials import RandomTrial, apart

__all__ = ["Within", "within_budgets"]

# In outline a network costs some milliseconds, built ten times that.
_NETWORKS = 400
_SECONDS = 2.0


@dataclass(frozen=True)
class Within:
    """Of `drawn` networks, uncompressed, `kept` keep the static budgets `names`."""

    kept: int
    drawn: int
    names: Sequence[str]

    @property
    def interval(self) -> tuple[float, float]:
        """The share of the space that does, with 95 % confidence (Wilson 1927)."""
        return wilson(self.kept / self.drawn, self.drawn)

    @property
    def sentence(self) -> str:
        """The share and its interval in words."""
        low, high = self.interval
        names = " and ".join(self.names)
        return (
            f"{self.kept / self.drawn:.1%} of networks keep the budgets of {names} uncompressed "
            f"({low:.1%} to {high:.1%}, of {self.drawn} drawn)"
        )


def within_budgets(factory: Factory) -> Within | None:
    """Of random networks, as many as some seconds allow; None without a static budget."""
    targets = [target for target in factory.assembly.tier("static") if target.has_budget]
    if not targets:
        return None
    kept, drawn, end = 0, 0, time.monotonic() + _SECONDS
    while drawn < _NETWORKS and (time.monotonic() < end or not drawn):
        kept += _keeps(factory, apart(factory.config.run.seed, drawn))
        drawn += 1
    return Within(kept, drawn, [target.name for target in targets])


def _keeps(factory: Factory, seed: int) -> bool:
    assembly = factory.assembly
    genotype = draw_plain(assembly.space, assembly.task, RandomTrial(seed))
    try:
        return not excess(factory.static(genotype), assembly.tier("static"))
    except CandidateError:
        return False
