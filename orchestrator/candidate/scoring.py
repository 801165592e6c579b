"""What a candidate's files answer: of several that approximate it, the one that does worst."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.candidate.factory import Factory
from orchestrator.candidate.variants import VariantFiles
from orchestrator.contracts import Artifact, Device, Judge

__all__ = ["Scored", "scored"]


@dataclass(frozen=True)
class Scored:
    """A file with the runtime that ran it, and the judge that has seen its answers."""

    artifact: Artifact
    runtime: Device
    judge: Judge


def scored(made: VariantFiles, factory: Factory) -> Scored:
    """By the leading metric on validation, the worst of the files that are to be judged.

    That is the first device's, and another's where steps of its own were taken to it: what a
    quantizer there costs would else be seen by nobody before the end. Raises what kept the files
    from being made.
    """
    leading = factory.assembly.task.leading
    sign = 1 if leading.direction == "maximize" else -1
    found = [_scored(artifact, runtime, factory) for artifact, runtime in _judged(made, factory)]
    return min(found, key=lambda each: sign * each.judge.figures()[leading.name])


def _judged(made: VariantFiles, factory: Factory) -> Iterator[tuple[Artifact, Device]]:
    compression, runtime = factory.assembly.compression, made.genotype.runtime
    yield made.artifact, factory.assembly.runtime(runtime)
    kinds = [compression.compressors[name] for name in made.steps if name in compression.beyond]
    for key in list(made.files)[1:]:
        device = factory.assembly.runtime(runtime, key)
        if any(factory.assembly.fits(kind, device) for kind in kinds):
            yield made.files[key], device


def _scored(artifact: Artifact, runtime: Device, factory: Factory) -> Scored:
    judge = factory.score(artifact, "validation", gate=factory.gate, runtime=runtime)
    return Scored(artifact, runtime, judge)
