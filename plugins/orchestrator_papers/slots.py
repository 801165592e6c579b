"""What may be left out of a network, or cut, one answer after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator import Choices, SamplerContext
from orchestrator_papers.answers import is_nothing, numbers_of
from orchestrator_papers.ladders import Ladders, rungs_of

__all__ = ["KINDS", "Kind", "Removal", "is_removable", "removal"]

Kind = Literal["left out", "cut", "replaced"]
KINDS: Sequence[Kind] = ("left out", "cut", "replaced")


@dataclass(frozen=True)
class Removal:
    """A choice answered by less, and all answers of the network that comes of it."""

    name: str
    kind: Kind
    choices: Choices


def removal(ladders: Ladders, choices: Choices, name: str) -> Removal | None:
    """The next answer down of that choice; None where there is none, or it saves nothing."""
    lower = ladders.below(choices, name, math.nextafter(ladders.cost(choices), -math.inf))
    if lower is None:
        return None
    return Removal(name, _kind(ladders.context, name, choices, lower), lower)


def is_removable(context: SamplerContext, guide: str, choices: Choices) -> bool:
    """Whether any block of a network can be left out, or any width cut."""
    for name in choices:
        rungs = {name: rungs_of(context, guide, choices, name)}
        found = removal(Ladders(context, guide, choices, rungs), choices, name)
        if found is not None and found.kind != "replaced":
            return True
    return False


def _kind(context: SamplerContext, name: str, before: Choices, after: Choices) -> Kind:
    """Left out: what it names is nothing, or there is less to ask about than before."""
    answer = after[name]
    if is_nothing(answer) or after.keys() < before.keys():
        return "left out"
    return "cut" if answer in numbers_of(context.questions[name]) else "replaced"
