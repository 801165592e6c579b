"""The files of one trained network: one for each runtime, and what compressors make of those."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from orchestrator.candidate.assembly import Assembly
from orchestrator.candidate.compression import Variant
from orchestrator.candidate.treatment import StepAhead, Treatment
from orchestrator.contracts import Artifact, ArtifactCompressor, Device
from orchestrator.contracts._culprits import answered
from orchestrator.errors import DeviceError, RunError, disk_trouble
from orchestrator.measuring.gate import Gate
from orchestrator.records import Choices, Genotype

if TYPE_CHECKING:
    from torch import nn

__all__ = ["FileMaker", "VariantFiles"]


@dataclass(frozen=True)
class VariantFiles:
    """A variant's file on each device that is asked, by its key, or why there is none.

    `runtime` is the name of what runs it on the first device, said in any case; `steps` are the
    names of what was done to the network and its file, in order; `report` is what the steps of the
    file tell people.
    """

    variant: Variant
    runtime: str
    steps: tuple[str, ...] = ()
    files: Mapping[str, Artifact] = field(default_factory=dict)
    error: Exception | None = None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def genotype(self) -> Genotype:
        """What it is a candidate by."""
        return self.variant.genotype

    @property
    def artifact(self) -> Artifact:
        """Its file on the first device; what kept it from being made is raised."""
        if self.error is not None:
            raise self.error
        return next(iter(self.files.values()))


class Workshop(Protocol):
    """What files are made with: the factory."""

    assembly: Assembly
    gate: Gate

    def steps_ahead(
        self, kind: Any, treatment: Treatment, device: Device | None = None
    ) -> Iterator[StepAhead]:
        """The compressors of one kind that a genotype uses, in order, with what each may use."""


class FileMaker:
    """Makes the files of one network; each that several variants need is made once.

    They lie at `path` and beside it. Export and calibration are work on this machine, so the gate
    is held meanwhile.
    """

    def __init__(self, workshop: Workshop, network: nn.Module, path: Path, *, final: bool) -> None:
        self._workshop = workshop
        self._network = network
        self._path = path
        self._final = final
        # Runtimes that compile alike share what the first of them made.
        self._compiled: list[tuple[Device, Artifact | Exception]] = []
        self._changed: dict[tuple[Any, ...], Artifact | Exception] = {}
        self._reports: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._folders = 0

    def made(self, variant: Variant, treatment: Treatment) -> VariantFiles:
        """One variant; `treatment` says how the network was compressed."""
        assembly, genotype = self._workshop.assembly, variant.genotype
        own = replace(treatment, genotype=genotype)
        steps = tuple(step.name for step in assembly.compression.steps(genotype))
        found = VariantFiles(variant, assembly.runtime_name(genotype.runtime), steps)
        report: dict[str, Any] = {}
        try:
            files = {
                key: self._chain(assembly.runtime(genotype.runtime, key), own, report)[-1]
                for key in assembly.deployed
            }
        except (DeviceError, RunError):
            raise
        except Exception as error:
            return replace(found, error=error)
        return replace(found, files=files, report=report)

    def chain(self, treatment: Treatment, key: str = "") -> list[Artifact]:
        """The network's own file on a device, then each that a step made of the last.

        `key` is the device's, by default the first's. Raises CompileError and CompressionError.
        """
        device = self._workshop.assembly.runtime(treatment.genotype.runtime, key)
        return self._chain(device, treatment, treatment.report)

    def _chain(
        self, device: Device, treatment: Treatment, report: dict[str, Any]
    ) -> list[Artifact]:
        group, artifact = self._own(device)
        artifacts, done = [artifact], tuple[tuple[str, str], ...]()
        for step in self._workshop.steps_ahead(ArtifactCompressor, treatment, device):
            if self._workshop.assembly.fits(step.compressor, device):
                done = (*done, (step.compressor.name, _told(step.choices)))
                artifacts.append(self._step((group, *done), step, artifacts[-1]))
                report |= self._reports[(group, *done)]
        return artifacts

    def _own(self, device: Device) -> tuple[int, Artifact]:
        """The network's file as the runtime takes it, and the number of those that share it."""
        for group, (like, known) in enumerate(self._compiled):
            if device is like or device.compiles_like(like):
                return group, _made(known)
        example = torch.zeros(1, *self._workshop.assembly.facts.shape)

        def compiled() -> Artifact:
            place = self._place(device)
            told = device.compile(self._network, example, place, final=self._final)
            return _artifact(device, "compile(network, example, path)", told)

        found = self._held(compiled)
        self._compiled.append((device, found))
        return len(self._compiled) - 1, _made(found)

    def _place(self, device: Device) -> Path:
        """The first file lies where it was asked for, those of others under names of their own."""
        if not self._compiled:
            return self._path
        taken = sum(other.name == device.name for other, _ in self._compiled)
        name = f"{self._path.name}.{device.name}{taken or ''}"
        return self._path.with_name(name)

    def _step(self, key: tuple[Any, ...], step: StepAhead, before: Artifact) -> Artifact:
        if key not in self._changed:
            # A compressor that is asked for several files, as in two settings or in chains of
            # another order, would write them to one name.
            again = any(known[-1][0] == key[-1][0] for known in self._changed)
            source = self._copied(before) if again else before
            told = self._reports[key] = {}
            context = replace(step.context, network=self._network, report=told)

            def changed() -> Artifact:
                found = step.compressor.transform(source, step.choices, context)
                return _artifact(step.compressor, "transform(artifact, choices, context)", found)

            self._changed[key] = self._held(changed)
        return _made(self._changed[key])

    def _copied(self, artifact: Artifact) -> Artifact:
        """The same files under the same names, in a folder of their own."""
        self._folders += 1
        folder = artifact.path.parent / f"{self._path.name}-{self._folders}"
        folder.mkdir(parents=True)
        for file in artifact.files:
            _link(file, folder / file.name)
        beside = tuple(folder / file.name for file in artifact.beside)
        return replace(artifact, path=folder / artifact.path.name, beside=beside)

    def _held(self, make: Callable[[], Artifact]) -> Artifact | Exception:
        """What is made with the gate held, or what kept it from being made.

        Raises DeviceError and RunError, for which no file is to blame.
        """
        try:
            with self._workshop.gate.shared():
                return make()
        except (DeviceError, RunError):
            raise
        except Exception as error:
            if trouble := disk_trouble(error):
                raise RunError(f"{trouble}: free some disk space, then resume.") from error
            return error


def _made(found: Artifact | Exception) -> Artifact:
    if isinstance(found, Exception):
        raise found
    return found


def _artifact(made: Device | ArtifactCompressor, method: str, told: Any) -> Artifact:
    fits = isinstance(told, Artifact)
    found: Artifact = answered(made, method, told, fits=fits, expected="an Artifact")
    return found


def _told(choices: Choices) -> str:
    return json.dumps(dict(choices), sort_keys=True, default=str)


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # a file system without links
        shutil.copyfile(file, target)
