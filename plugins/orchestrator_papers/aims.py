"""What a paper's search makes good and what it saves, among a search's objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from orchestrator import Axis, Record, SamplerContext
from orchestrator.errors import PluginError

__all__ = ["Aims"]

_DRAWS = 8


@dataclass(frozen=True)
class Aims:
    """One objective to keep, one to save, and one that tells savings before anything is paid.

    `guide` is the static objective that sizes steps: `cost` itself where that is static, else
    another that is to be small or has a largest value; empty where there is none.
    """

    quality: Axis
    cost: Axis
    guide: str

    @classmethod
    def of(cls, context: SamplerContext, sampler: str, cost: str | None) -> Self:
        """The task's leading metric, and a latency where one is searched for.

        Otherwise the first static objective that is to be small, else any that is. Raises
        PluginError where there is nothing to keep or nothing to save.
        """
        static = next(
            (v for n in range(_DRAWS) if (v := context.counted(context.random(n))) is not None), {}
        )
        large = [axis for axis in context.axes if axis.sign > 0 and axis.name not in static]
        quality = next((axis for axis in large if axis.leads), large[0] if large else None)
        saved = _cost(context, sampler, cost, static)
        if quality is None:
            found = ", ".join(axis.name for axis in context.axes)
            raise PluginError(
                f"sampler {sampler} trades an accuracy for a cost; {found} has no objective that "
                "only training tells and that is to be large. Add objective=accuracy, or choose "
                "another sampler."
            )
        return cls(quality, saved, _guide(context, saved, static))

    def kept(self, record: Record | None) -> float | None:
        """How good a candidate turned out; None where it never came to that."""
        return None if record is None else record.values.get(self.quality.name)

    def spent(self, record: Record | None) -> float | None:
        """What it costs; None where that is not known."""
        return None if record is None else record.values.get(self.cost.name)


def _cost(
    context: SamplerContext, sampler: str, wanted: str | None, static: Mapping[str, float]
) -> Axis:
    small = [axis for axis in context.axes if axis.sign < 0]
    named = [axis for axis in small if axis.name == wanted]
    timed = [axis for axis in small if axis.name.startswith("latency")]
    cheap = [axis for axis in small if axis.name in static]
    found = named if wanted is not None else [*timed, *cheap, *small]
    if not found:
        names = ", ".join(axis.name for axis in small) or "none"
        asked = f"cost={wanted}" if wanted is not None else "an objective to save"
        raise PluginError(
            f"sampler {sampler} expects {asked} among the searched objectives that are to be "
            f"small; found: {names}. Set sampler.cost to one of them, or search for another."
        )
    return found[0]


def _guide(context: SamplerContext, cost: Axis, static: Mapping[str, float]) -> str:
    small = [axis.name for axis in context.axes if axis.sign < 0]
    limited = [name for name, budget in context.budgets.items() if budget.max is not None]
    return next((name for name in [cost.name, *small, *limited] if name in static), "")
