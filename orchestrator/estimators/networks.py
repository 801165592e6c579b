"""The network of a genotype as estimators train it: with the search's starting weights, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.contracts import EstimationContext
from orchestrator.records import Genotype
from orchestrator.training.building import build_network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["started_network"]


def started_network(genotype: Genotype, context: EstimationContext) -> nn.Module:
    """Freshly built, drawn from the context's seed but for trained weights; raises BuildError."""
    network = build_network(
        context.space, genotype, context.facts, seed=context.seed, task=context.task
    )
    if context.start is not None:
        context.start.give(network)
    return network
