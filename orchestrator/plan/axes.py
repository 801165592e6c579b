"""The searched objectives as dimensions of the trade-off, with the worst that still counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.candidate.assembly import Assembly, Target
from orchestrator.contracts import Axis
from orchestrator.errors import ConfigError

__all__ = ["made_axes"]


def made_axes(
    assembly: Assembly, largest: Mapping[str, float], seen: Mapping[str, tuple[float, float]]
) -> list[Axis]:
    """The leading metric counts from what a network reaches that knows nothing.

    Each counts from its budget where that is better than what else it would count from.
    """
    found = []
    for target in assembly.targets:
        if target.searched:
            axis = _axis(target, largest, seen.get(target.name))
            leads = axis.name == assembly.task.leading.name
            if target.config.reference is None:
                if leads:
                    axis = replace(axis, reference=assembly.task.chance(assembly.facts))
                axis = _from_budget(axis)
            found.append(replace(axis, leads=leads))
    return found


def _from_budget(axis: Axis) -> Axis:
    """What lies beyond a budget is rejected, and no volume that anybody wants.

    Counted in, it would make all that keeps a tight budget look alike in this objective.
    """
    limit = axis.min if axis.sign > 0 else axis.max
    if limit is None or not axis.sign * axis.reference < axis.sign * limit < axis.sign * axis.best:
        return axis
    return replace(axis, reference=limit)


def _axis(target: Target, largest: Mapping[str, float], seen: tuple[float, float] | None) -> Axis:
    """What is maximised and no share, such as a proxy's score, spans what the specimens showed."""
    objective, config = target.objective, target.config
    rising = objective.direction == "maximize"
    worst, ideal = (0.0, None) if rising else (largest.get(target.name), None)
    if rising and objective.unit != "share" and seen and seen[1] > seen[0]:
        worst, ideal = seen
    reference = config.reference if config.reference is not None else worst
    if reference is None:
        raise ConfigError(
            f"objective.{target.name}.reference: must be given, as no worst value is known for it."
        )
    return Axis(
        target.name,
        objective.unit,
        objective.direction,
        float(reference),
        min=config.min,
        max=config.max,
        ideal=ideal if ideal is not None and ideal > reference else None,
    )
