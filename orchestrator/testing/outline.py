"""Whether a space's networks are counted alike in outline and built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.contracts.images import ImageFacts
from orchestrator.contracts.objective import Objective, Subject
from orchestrator.contracts.outputs import Classes
from orchestrator.contracts.space import SearchSpace
from orchestrator.plugins import installed
from orchestrator.records import Architecture, Genotype

if TYPE_CHECKING:
    from torch import nn

__all__ = ["check_outline"]


def check_outline(
    space: SearchSpace,
    architecture: Architecture,
    facts: ImageFacts,
    names: Sequence[str] | None = None,
) -> None:
    """Raise AssertionError unless objectives by shapes say the same of both: `names`, or all.

    Drawn twice, by blocks that are met and by those that are known. Nothing is asked of a space
    that has no outlines.
    """
    import torch

    from orchestrator.training.outlines import Outlines

    if not space.outlined(architecture):
        return
    build = partial(space.build, architecture, facts, Classes(len(facts.classes)))
    with torch.device("meta"):
        network = build().eval()
    outlines = Outlines()
    for objective in _by_shapes(names):
        wanted = _measured(objective, network, facts)
        for _ in range(2):
            found = _measured(objective, outlines.draw(build), facts)
            assert found == wanted, (
                f"{objective.name} of {architecture} is {wanted:,} built and {found:,} in outline; "
                "leave out `outlined` where equal arguments give blocks that differ"
            )


def _by_shapes(names: Sequence[str] | None) -> Iterator[Objective]:
    plugins = installed()
    for name in names or sorted(plugins.offered("objective")):
        if getattr(plugins.resolve("objective", name), "tier", "") == "static":
            objective: Objective = plugins.create("objective", name, {})
            if objective.by_shapes:
                yield objective


def _measured(objective: Objective, network: nn.Module, facts: ImageFacts) -> float:
    return objective.measure(Subject(Genotype("", "", {}), network, facts.shape))
