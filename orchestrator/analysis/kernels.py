"""Where a file that computes with integers goes back to real numbers, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.contracts import Kernel
from orchestrator.errors import plural

__all__ = ["Island", "float_islands", "float_notes", "integer_share"]

# What turns the one into the other is not why: it is there because of what lies between.
_CONVERSIONS = ("quantize", "dequantize", "dynamicquantize", "convert")
_TOLD = 5


@dataclass(frozen=True)
class Island:
    """Neighbouring layers in float between integer ones; `share` is of the time, if it is known.

    `operators` are theirs without those that convert, and so may be none.
    """

    layers: tuple[str, ...]
    operators: tuple[str, ...]
    share: float | None


def integer_share(kernels: Sequence[Kernel]) -> float | None:
    """The share of the time that is spent with integers, in [0, 1]; None where it is not known."""
    return _sum([kernel for kernel in kernels if kernel.integer])


def float_islands(kernels: Sequence[Kernel]) -> list[Island]:
    """Islands in the order of execution; none in a file without integer layers."""
    if not any(kernel.integer for kernel in kernels):
        return []
    return [_island(run) for run in _runs(kernels)]


def float_notes(kernels: Sequence[Kernel]) -> list[str]:
    """For people: a line for each kind of island, the costliest first; at most 5 and the rest."""
    kinds: dict[tuple[str, ...], list[Island]] = {}
    for island in float_islands(kernels):
        kinds.setdefault(tuple(dict.fromkeys(island.operators)), []).append(island)
    costly = sorted(kinds.items(), key=lambda kind: -_cost(kind[1]))
    told = [_line(operators, found) for operators, found in costly[:_TOLD]]
    rest = [island for _, found in costly[_TOLD:] for island in found]
    return [*told, f"{plural(len(rest), 'other')}{_of_time(_cost(rest))}"] if rest else told


def _runs(kernels: Sequence[Kernel]) -> Iterator[list[Kernel]]:
    run: list[Kernel] = []
    for kernel in kernels:
        if not kernel.integer:
            run.append(kernel)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _island(run: Sequence[Kernel]) -> Island:
    operators = tuple(k.operator for k in run if not k.operator.lower().startswith(_CONVERSIONS))
    return Island(tuple(kernel.layer for kernel in run), operators, _sum(run))


def _sum(kernels: Sequence[Kernel]) -> float | None:
    shares = [kernel.share for kernel in kernels if kernel.share is not None]
    return sum(shares) if len(shares) == len(kernels) else None


def _cost(islands: Sequence[Island]) -> float:
    return sum(island.share or 0.0 for island in islands)


def _line(operators: tuple[str, ...], islands: Sequence[Island]) -> str:
    names = Counter(operators)
    what = ", ".join(names) if names else "from and to integers"
    return f"{len(islands)} × {what}{_of_time(_cost(islands))}"


def _of_time(share: float) -> str:
    return f": {share:.0%} of the time" if share else ""
