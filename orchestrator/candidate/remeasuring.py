"""Latencies of candidates that were measured apart, in one session.

The files of trained networks are gone by then. What decides a latency is a network's structure and
what was done to its file, so that untrained ones in the same form stand in for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.candidate.compression import Variant
from orchestrator.candidate.deployment import Measure, together
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.candidate.variants import FileMaker, VariantFiles
from orchestrator.contracts import ArtifactCompressor, Latency, NetworkCompressor
from orchestrator.errors import CandidateError
from orchestrator.faults.temporary import WorkingFolder
from orchestrator.records import Genotype

__all__ = ["foreseen", "remeasured"]


def foreseen(genotype: Genotype, factory: Factory) -> bool:
    """Whether an untrained network in its form is as fast as the trained one."""
    active = factory.assembly.compression.active
    shapes = all(step.foreseen for step, _ in active(NetworkCompressor, genotype))
    files = active(ArtifactCompressor, genotype)
    return shapes and all(step.foresees(choices) for step, choices in files)


def remeasured(
    genotypes: Mapping[int, Genotype], devices: Sequence[str], factory: Factory, measure: Measure
) -> dict[int, dict[str, Latency]]:
    """Number → device → latency, all candidates of a device in one session.

    What cannot be made or measured any more is left out. Raises DeviceError.
    """
    found: dict[int, dict[str, Latency]] = {}
    with WorkingFolder("again") as folder:
        made = {
            number: _made(genotype, factory, folder / f"{number}")
            for number, genotype in genotypes.items()
        }
        for device in devices:
            files = {
                number: (each.files[device], factory.assembly.seat(device, each.genotype.runtime))
                for number, each in made.items()
                if each is not None and device in each.files
            }
            for number, latency in together(files, measure).items():
                if isinstance(latency, Latency):
                    found.setdefault(number, {})[device] = latency
    return found


def _made(genotype: Genotype, factory: Factory, folder: Path) -> VariantFiles | None:
    """Its files, of an untrained network; None where they cannot be made."""
    folder.mkdir()
    treatment = Treatment(genotype)
    try:
        network = factory.compress(factory.build(genotype), treatment)
    except CandidateError:
        return None
    maker = FileMaker(factory, network, folder / "model", final=False)
    made = maker.made(Variant(genotype), treatment)
    return None if made.error else made
