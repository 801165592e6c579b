"""In which orders compressors may be taken: the one judge of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from orchestrator.contracts.compressor import (
    ArtifactCompressor,
    Compressor,
    NetworkCompressor,
    TrainingCompressor,
)

__all__ = ["STAGES", "legal_orders", "obstacle", "stage_of"]

STAGES = (TrainingCompressor, NetworkCompressor, ArtifactCompressor)
# Of so many compressors in a stage nobody needs every order.
_MOST_ORDERS = 120


def stage_of(compressor: Compressor) -> int:
    """0 training, 1 network, 2 artifact."""
    return next(stage for stage, kind in enumerate(STAGES) if isinstance(compressor, kind))


def legal_orders(
    active: Mapping[str, Compressor], formats: frozenset[str]
) -> list[tuple[str, ...]]:
    """The legal orders of all of `active`, by name; that of the mapping comes first if it is legal.

    `formats` are the device's. Empty where there is none: something is then missing, or meets
    what it conflicts with, whatever the order. At most 120 are told.
    """
    staged = sorted(active, key=lambda name: stage_of(active[name]))
    return list(islice(_orders(staged, active, formats), _MOST_ORDERS))


def _orders(
    left: list[str], known: Mapping[str, Compressor], provided: frozenset[str]
) -> Iterator[tuple[str, ...]]:
    """`left` is in stage order, so that only its first stage may come next."""
    if not left:
        yield ()
        return
    stage = stage_of(known[left[0]])
    for name in left:
        compressor = known[name]
        if stage_of(compressor) > stage:
            return
        if obstacle(compressor, provided):
            continue
        rest = [other for other in left if other != name]
        for order in _orders(rest, known, provided | compressor.provides):
            yield (name, *order)


def obstacle(compressor: Compressor, provided: frozenset[str]) -> str:
    """Why it cannot follow what was `provided`, as the end of a sentence; empty where it can."""
    if missing := compressor.requires - provided:
        return f"requires {sorted(missing)} where {sorted(provided)} are provided"
    if clash := compressor.conflicts & provided:
        return f"cannot follow what provides {sorted(clash)}"
    return ""
