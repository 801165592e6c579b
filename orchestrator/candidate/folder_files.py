"""The files that a finalist's folder will hold: of its networks, for each runtime and device."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.bundle import EXACT
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.candidate.variants import VariantFiles
from orchestrator.contracts import (
    Artifact,
    ArtifactCompressor,
    Device,
    Judge,
    Latency,
    NetworkCompressor,
    Split,
    TrainingCompressor,
)
from orchestrator.records import Genotype

if TYPE_CHECKING:
    from torch import nn

__all__ = ["UNPRUNED", "FileAhead", "Networks", "made_files"]

UNPRUNED = "unpruned"


@dataclass(frozen=True)
class Networks:
    """A network after its steps, and as it was trained where one of them changed it.

    `treatment` is how: what steps learnt for one another, and what they tell.
    """

    genotype: Genotype
    network: nn.Module
    unpruned: nn.Module | None
    treatment: Treatment

    @classmethod
    def of(cls, trained: nn.Module, genotype: Genotype, factory: Factory) -> Networks:
        """What a genotype's steps make of a trained network, which is changed in place."""
        changed = any(factory.assembly.compression.active(NetworkCompressor, genotype))
        kept = copy.deepcopy(trained).eval() if changed else None
        treatment = Treatment(genotype, factory.config.train.final_epochs)
        network = factory.compress(trained, treatment)
        return cls(genotype, network, kept, treatment)

    def named(self, name: str) -> nn.Module:
        """One of them, by what the bundle calls it."""
        if name == UNPRUNED:
            assert self.unpruned is not None
            return self.unpruned
        return self.network


@dataclass(frozen=True)
class FileAhead:
    """A file on its way to the folder; `devices` run it, and on the first of them it is judged.

    `number` is its candidate's, None where it was none. See `ShippedFile` for the rest.
    """

    label: str
    genotype: Genotype
    runtime: str
    steps: tuple[str, ...]
    artifact: Artifact
    devices: tuple[str, ...]
    before: str = ""
    network: str = ""
    number: int | None = None
    test: Judge | None = None
    validation: Judge | None = None
    worst: Sequence[int] = ()
    agreement: float | None = None
    latencies: Mapping[str, Latency] = field(default_factory=dict)

    def executor(self, factory: Factory) -> Device:
        """What runs it."""
        return factory.assembly.runtime(self.genotype.runtime, self.devices[0])

    @property
    def judge(self) -> Judge:
        """Having seen its answers on the test split."""
        assert self.test is not None
        return self.test

    def figures(self, split: Split) -> Mapping[str, float]:
        """What its answers on a split are worth."""
        judge = self.judge if split == "test" else self.validation
        assert judge is not None
        return judge.figures()


@dataclass(frozen=True)
class _Made:
    """A variant on one device; `network` names the one that its file computes."""

    variant: VariantFiles
    network: str
    device: str

    def runtime(self, factory: Factory) -> str:
        """The name of what runs it there."""
        return factory.assembly.runtime_name(self.variant.genotype.runtime, self.device)


def made_files(
    networks: Networks, factory: Factory, work: Path, numbers: Mapping[str, int]
) -> tuple[list[FileAhead], dict[str, Exception]]:
    """Every file of a finalist: before pruning, then each runtime's own and what is made of it.

    Where a further device runs another file than the first it is one more. `numbers` are those of
    candidates by their genotypes' keys. What could not be made is told by its label; raises what
    kept the network's own file from being made.
    """
    found: list[FileAhead] = []
    failed: dict[str, Exception] = {}
    for network, made in _variants(networks, factory, work):
        if any(made.error is known for known in failed.values()):
            continue  # of a file that several variants needed
        for device in [_blamed(made, factory)] if made.error else factory.assembly.deployed:
            one = _Made(made, network, device)
            label = _label(one, factory, {file.label for file in found} | set(failed))
            if made.error is not None:
                failed[label] = made.error
            elif not _joined(one, found, factory):
                number = None if network else numbers.get(made.genotype.key)
                ahead = _ahead(one, networks, factory, found)
                found.append(replace(ahead, label=label, number=number))
    if not any(not file.network for file in found):
        raise next(iter(failed.values()))
    return found, failed


def _variants(
    networks: Networks, factory: Factory, work: Path
) -> Iterator[tuple[str, VariantFiles]]:
    """(the network's name, a variant of it): that before pruning first."""
    compression = factory.assembly.compression
    if networks.unpruned is not None:
        plain = Treatment(networks.genotype.plain(), networks.treatment.epochs)
        wanted = compression.untouched(plain.genotype)
        path = work / f"model.{UNPRUNED}"
        for made in factory.files(wanted, networks.unpruned, plain, path, final=True):
            yield UNPRUNED, made
    path = work / "model"
    found = factory.variants(networks.network, networks.treatment, path, final=True)

    def done(made: VariantFiles) -> list[int]:
        return [len(_file_steps(made.genotype, key, factory)) for key in factory.assembly.deployed]

    # A runtime's own file comes before what is made of it, on each device.
    for made in sorted(found, key=done):
        yield "", made


def _blamed(made: VariantFiles, factory: Factory) -> str:
    """The device whose file could not be made: a further one, if a step is for its files alone."""
    assembly, runtime = factory.assembly, made.genotype.runtime
    kinds = [assembly.compressors[n] for n in made.steps if n in assembly.compression.beyond]
    first, *further = assembly.deployed
    fitting = (
        key
        for key in further
        if any(assembly.fits(kind, assembly.runtime(runtime, key)) for kind in kinds)
    )
    return next(fitting, first)


def _joined(one: _Made, found: list[FileAhead], factory: Factory) -> bool:
    """Whether a device runs a file that is there already, which is then known to be for it too.

    Variants that differ by what is done for another device share their file on this one.
    """
    wanted = _artifact(one, factory), one.runtime(factory)
    for number, file in enumerate(found):
        if (file.artifact, file.runtime) == wanted:
            devices = dict.fromkeys((*file.devices, one.device))
            found[number] = replace(file, devices=tuple(devices))
            return True
    return False


def _ahead(
    one: _Made, networks: Networks, factory: Factory, found: Sequence[FileAhead]
) -> FileAhead:
    """A file without its name, beside those that are there."""
    before = _before(one, found, factory)
    return FileAhead(
        label="",
        genotype=one.variant.genotype,
        runtime=one.runtime(factory),
        steps=_steps(one, networks, factory),
        artifact=_artifact(one, factory),
        devices=(one.device,),
        before=before.label if before else "",
        network=one.network,
    )


def _label(one: _Made, factory: Factory, taken: set[str]) -> str:
    """What was done to a file, after the device's and the runtime's name where it is not the first.

    Third parties may leave it unsaid: what a compressor did then stands in the file's name
    (model.int8.onnx).
    """
    steps = _file_steps(one.variant.genotype, one.device, factory)
    own = one.network or EXACT
    if steps:
        own = steps[-1][0]
        if one.variant.error is None:
            artifact = one.variant.files[one.device]
            own = artifact.label or ".".join(artifact.path.name.split(".")[1:-1]) or own
    assembly, runtime = factory.assembly, one.runtime(factory)
    device = [] if one.device == next(iter(assembly.deployed)) else [one.device]
    named = [] if runtime == assembly.runtime_name("", one.device) else [runtime]
    wanted = ".".join([*device, *named, own])
    return wanted if wanted not in taken else f"{wanted}-{len(taken)}"


def _file_steps(genotype: Genotype, device: str, factory: Factory) -> list[tuple[str, str]]:
    """What is done to a genotype's file on a device, in order: names and choices."""
    compression = factory.assembly.compression
    runtime = factory.assembly.runtime(genotype.runtime, device)
    return [
        (step.name, repr(sorted(step.choices.items())))
        for step in compression.steps(genotype)
        if isinstance(made := compression.compressors[step.name], ArtifactCompressor)
        and factory.assembly.fits(made, runtime)
    ]


def _before(one: _Made, found: Sequence[FileAhead], factory: Factory) -> FileAhead | None:
    """The file that the last step was done to, or the nearest before it that is in the folder."""
    if one.network:
        return None
    genotype, device = one.variant.genotype, one.device
    steps = _file_steps(genotype, device, factory)
    alike = [f for f in found if device in f.devices and f.genotype.runtime == genotype.runtime]
    if not steps:
        return next((f for f in alike if f.network), None)
    lengths = {
        len(own): f
        for f in alike
        if not f.network and (own := _file_steps(f.genotype, device, factory)) == steps[: len(own)]
    }
    return lengths[max(lengths)] if lengths else None


def _steps(one: _Made, networks: Networks, factory: Factory) -> tuple[str, ...]:
    """Names of what was done; a network before pruning was trained as its genotype says too."""
    compression = factory.assembly.compression
    kinds = compression.compressors
    if one.network:
        steps = compression.steps(networks.genotype)
        return tuple(s.name for s in steps if isinstance(kinds[s.name], TrainingCompressor))
    file = {name for name, _ in _file_steps(one.variant.genotype, one.device, factory)}
    made = one.variant.steps
    return tuple(n for n in made if n in file or not isinstance(kinds[n], ArtifactCompressor))


def _artifact(one: _Made, factory: Factory) -> Artifact:
    """The file; what a runtime compiles is exact, even where it does not say so."""
    artifact = one.variant.files[one.device]
    untouched = not _file_steps(one.variant.genotype, one.device, factory)
    return replace(artifact, exact=artifact.exact or (untouched and not artifact.label))
