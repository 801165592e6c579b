"""A runtime's own benchmark program, for places where no agent can be started."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.contracts.place import Place
from orchestrator.errors import CompileError, DeviceError
from orchestrator.measuring.agent import Timing

__all__ = ["NativeBenchmark", "NativeFile", "in_turn"]

# As many as the agent's rounds are split into, so that figures have an interval of the same kind.
_TURNS = 6


@dataclass(frozen=True)
class NativeBenchmark:
    """How a runtime's own program is run for a file, and what it prints.

    `arguments` takes the file's path at the place, how many inferences are to be timed after some
    that are not, and the runtime's options. `timing` reads what was printed, milliseconds of one
    inference; it raises ValueError for other words. `program` is what its makers call it.
    """

    program: str
    arguments: Callable[[str, int, Mapping[str, Any]], Sequence[str]]
    timing: Callable[[str], Timing]


@dataclass(frozen=True)
class NativeFile:
    """A file at a place, and the runtime that runs it there."""

    name: str
    path: str
    benchmark: NativeBenchmark
    options: Mapping[str, Any]


def in_turn(place: Place, files: Sequence[NativeFile], rounds: int) -> list[Timing]:
    """Each file's times over `rounds` inferences, the program run six times for each, in turn.

    A run loads the file anew and times its inferences one after another, so neighbours in time
    are compared as the agent does, in coarser turns. Raises CompileError for a file that the
    program fails on, and DeviceError where that is the first, the reference network.
    """
    found: list[list[Timing]] = [[] for _ in files]
    for _ in range(_TURNS):
        for number, file in enumerate(files):
            found[number].append(_timed(place, file, max(1, rounds // _TURNS), number == 0))
    return [_joined(timings) for timings in found]


def _timed(place: Place, file: NativeFile, runs: int, reference: bool) -> Timing:
    words = file.benchmark.arguments(file.path, runs, file.options)
    try:
        printed = place.execute(words)
    except CompileError as error:
        if reference:
            raise DeviceError(
                f"{place.name}: the program does not run the reference network ({error}). Is it "
                f"{file.benchmark.program}, built for the processor there?"
            ) from error
        raise
    try:
        return file.benchmark.timing(printed)
    except ValueError as error:
        last = printed.strip()[-400:]
        raise DeviceError(
            f"{place.name}: found other words than {file.benchmark.program} prints of {file.name} "
            f"({error}): {last}"
        ) from error


def _joined(timings: Sequence[Timing]) -> Timing:
    parts = [timing.low_ms for timing in timings]
    return Timing(
        low_ms=min(parts),
        median_ms=statistics.median(timing.median_ms for timing in timings),
        high_ms=max(timing.high_ms for timing in timings),
        runs=sum(timing.runs for timing in timings),
        parts_ms=parts,
    )
