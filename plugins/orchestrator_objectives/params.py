"""The number of parameters."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from orchestrator import Objective, Subject
from orchestrator.errors import BuildError

__all__ = ["Parameters", "count_parameters"]


class Parameters(Objective):
    """Elements of all parameters; one that is used in several places counts once."""

    name = "params"
    unit = "parameters"
    direction = "minimize"
    tier = "static"
    summary: ClassVar[str] = "number of parameters, tied ones counted once"

    def measure(self, subject: Subject) -> float:
        """The count; raises BuildError for a lazy layer that has no shape yet."""
        return float(count_parameters(subject.network))


def count_parameters(network: nn.Module) -> int:
    """Elements of all distinct parameters of `network`; cost: some tens of microseconds."""
    # nn.Module.parameters() builds every name on the way, which costs ten times the sum.
    modules: list[nn.Module] = [network]
    seen: set[int] = {id(network)}
    total = 0
    for module in modules:
        state = module.__dict__
        for parameter in state["_parameters"].values():
            if parameter is not None and id(parameter) not in seen:
                seen.add(id(parameter))
                total += _elements(parameter)
        for child in state["_modules"].values():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                modules.append(child)
    return total


def _elements(parameter: nn.Parameter) -> int:
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        raise BuildError(
            "a lazy layer has no shape yet; run the network once on an example before counting."
        )
    return parameter.numel()
