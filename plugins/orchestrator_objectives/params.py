"""The number of parameters."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from orchestrator import Objective, Subject, elements

__all__ = ["Parameters", "count_parameters"]


class Parameters(Objective):
    """Elements of all parameters; one that is used in several places counts once."""

    name = "params"
    unit = "parameters"
    direction = "minimize"
    tier = "static"
    by_shapes = True
    summary: ClassVar[str] = "number of parameters, tied ones counted once"

    def measure(self, subject: Subject) -> float:
        """The count; raises BuildError for a lazy layer that has no shape yet."""
        return float(count_parameters(subject.network))


def count_parameters(network: nn.Module) -> int:
    """Elements of all distinct parameters of `network`; cost: some tens of microseconds."""
    return elements(network)
