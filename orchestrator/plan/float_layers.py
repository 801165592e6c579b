"""Operators that int8 files of a space leave in float, by runtime, and activations that do so.

A runtime without an integer kernel for an operator goes to real numbers and back around it, h-swish
in ONNX Runtime for instance; where those stand between all layers, int8 is the slower file. Which
they are is seen on a small network of the space, untrained, before anything is paid for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.analysis.kernels import float_islands, float_notes
from orchestrator.candidate.assembly import Assembly
from orchestrator.candidate.compression import Variant
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.candidate.variants import FileMaker
from orchestrator.contracts import ArtifactCompressor, Kernel
from orchestrator.errors import CandidateError, plural
from orchestrator.plan.survey import Specimen, cost, specimen
from orchestrator.records import Choices
from orchestrator.trials import PartlyKnownTrial

__all__ = ["Look", "float_layers", "told"]

_CHOICE = "activation"
# Below that share of the time, or of the layers, another activation would gain nothing.
_LEAST_SHARE = 0.05
# Of this process; a file takes 1 or 2.
_SECONDS = 6.0


@dataclass(frozen=True)
class Look:
    """What a runtime executes of one network's int8 file; `activation` is "" as it was drawn."""

    runtime: str
    activation: str
    kernels: Sequence[Kernel]

    @property
    def share(self) -> float:
        """What is left in float between integer layers: of the time, or of the layers."""
        islands = float_islands(self.kernels)
        times = [island.share for island in islands if island.share is not None]
        if islands and len(times) == len(islands):
            return sum(times)
        count = sum(len(island.layers) for island in islands)
        return count / max(1, len(self.kernels))


def float_layers(factory: Factory, folder: Path, specimens: Sequence[Specimen]) -> list[str]:
    """Sentences for the plan; none where no int8 is asked for, or it leaves nothing in float.

    Costs an int8 file of an untrained network a runtime and a few inferences of it, and where that
    leaves much in float, one more for each activation that the space chooses from.
    """
    if not factory.assembly.tier("deployed") or not specimens:
        return []
    small = min(specimens, key=cost)
    end = time.process_time() + _SECONDS
    looks = list(_looks(factory, folder / "float-drawn", small, ""))
    skipped = 0
    if any(look.share >= _LEAST_SHARE for look in looks):
        for number, (value, choices) in enumerate(_activations(small, specimens).items()):
            if time.process_time() > end:
                skipped += 1
                continue
            other = specimen(factory, PartlyKnownTrial(choices, 0))
            looks += _looks(factory, folder / f"float-{number}", other, value)
    return told(looks, skipped)


def told(looks: Sequence[Look], skipped: int = 0) -> list[str]:
    """A sentence for each runtime that leaves something in float, and one on activations."""
    drawn = [look for look in looks if not look.activation and look.share >= _LEAST_SHARE]
    found = []
    for look in drawn:
        others = [o for o in looks if o.activation and o.runtime == look.runtime]
        notes = "; ".join(float_notes(look.kernels))
        found.append(
            f"int8 in {look.runtime} leaves layers in float, which it has no integer kernels for: "
            f"{notes}.{_advice(others)}"
        )
    better = [look.runtime for look in looks if not look.activation and look not in drawn]
    if found and better:
        found[-1] += f" {' and '.join(better)} computes all but a few of them with integers."
    if found and skipped:
        found[-1] += f" For the time that takes, {plural(skipped, 'activation')} had no look."
    return found


def _advice(looks: Sequence[Look]) -> str:
    """What each activation of the space would leave; empty where they differ little."""
    shares = {look.activation: look.share for look in looks}
    if not shares or max(shares.values()) - min(shares.values()) < _LEAST_SHARE:
        return ""
    listed = ", ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items()))
    best = min(shares, key=lambda name: shares[name])
    return f" With one activation throughout: {listed}; the space's choice of {best} pays here."


def _looks(factory: Factory, folder: Path, each: Specimen, activation: str) -> Iterator[Look]:
    folder.mkdir()
    genotype = each.genotype
    maker = FileMaker(factory, factory.build(genotype).eval(), folder / "network", final=False)
    for runtime, variant in _int8(factory.assembly, each).items():
        device = factory.assembly.runtime(variant.genotype.runtime)
        made = maker.made(variant, Treatment(variant.genotype))
        if made.error is not None:
            continue  # what this runtime refuses is each candidate's own to tell
        try:
            with factory.gate.shared():
                kernels = device.kernels(made.artifact)
        except CandidateError:
            continue
        if kernels:
            yield Look(runtime, activation, kernels)


def _int8(assembly: Assembly, each: Specimen) -> dict[str, Variant]:
    """Of each runtime the first variant whose file is int8 by its own quantizer."""
    found: dict[str, Variant] = {}
    for variant in assembly.compression.variants(each.genotype):
        device = assembly.runtime(variant.genotype.runtime)
        steps = assembly.compression.active(ArtifactCompressor, variant.genotype)
        done = [(step.name, choices.get("scheme")) for step, choices in steps]
        if not device.costly and any(s == "int8" and n in device.quantizers for n, s in done):
            found.setdefault(assembly.runtime_name(variant.genotype.runtime), variant)
    return found


def _activations(one: Specimen, specimens: Sequence[Specimen]) -> Mapping[str, Choices]:
    """Each activation that was drawn anywhere, with the network's choices if it were everywhere."""
    names = {name for name in one.choices if name.rpartition(".")[2] == _CHOICE}
    drawn = {
        str(value): value
        for each in specimens
        for name, value in each.choices.items()
        if name in names
    }
    if len(drawn) < 2:
        return {}
    return {key: {**one.choices, **dict.fromkeys(names, drawn[key])} for key in sorted(drawn)}
