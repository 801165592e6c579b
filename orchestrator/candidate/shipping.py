"""The files of one finalist: made, asked, measured in one session, each with figures of its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.analysis.kernels import float_notes
from orchestrator.bundle import EXACT
from orchestrator.candidate.deployment import Measure, together
from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.candidate.variants import VariantFiles
from orchestrator.contracts import (
    Artifact,
    ArtifactCompressor,
    Judge,
    Latency,
    NetworkCompressor,
    Split,
    Subject,
    Task,
    TrainingCompressor,
)
from orchestrator.errors import DeviceError, RunError
from orchestrator.records import Genotype, ShippedFile

if TYPE_CHECKING:
    from torch import nn

__all__ = ["FileAhead", "Networks", "figures_of", "judged", "made_files", "measured"]

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
    """A file on its way to the folder; `files` are by device, that of the first one counts.

    `number` is its candidate's, None where it was none. See `ShippedFile` for the rest.
    """

    label: str
    genotype: Genotype
    runtime: str
    steps: tuple[str, ...]
    files: Mapping[str, Artifact]
    before: str = ""
    network: str = ""
    number: int | None = None
    test: Judge | None = None
    validation: Judge | None = None
    worst: Sequence[int] = ()
    agreement: float | None = None
    latencies: Mapping[str, Latency] = field(default_factory=dict)

    @property
    def artifact(self) -> Artifact:
        """The first device's."""
        return next(iter(self.files.values()))

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


def made_files(
    networks: Networks, factory: Factory, work: Path, numbers: Mapping[str, int]
) -> tuple[list[FileAhead], dict[str, Exception]]:
    """Every file of a finalist: before pruning, then each runtime's own and what is made of it.

    `numbers` are those of candidates by their genotypes' keys. What could not be made is told by
    its label; raises what kept the network's own file from being made.
    """
    found: list[FileAhead] = []
    failed: dict[str, Exception] = {}
    for name, made in _variants(networks, factory, work):
        label = _label(made, factory, name, {file.label for file in found} | set(failed))
        if made.error is not None:
            failed[label] = made.error
            continue
        before = _before(made, name, found, factory)
        number = numbers.get(made.genotype.key) if not name else None
        found.append(
            FileAhead(
                label=label,
                genotype=made.genotype,
                runtime=made.runtime,
                steps=_steps(made, networks, factory, name),
                files=_exact(made, factory),
                before=before.label if before else "",
                network=name,
                number=number,
            )
        )
    if not any(not file.network for file in found):
        raise next(iter(failed.values()))
    return found, failed


def judged(
    files: Sequence[FileAhead], factory: Factory
) -> tuple[list[FileAhead], dict[str, Exception]]:
    """With what each file answers in its own runtime, and those that do not run there.

    The test split is read here and nowhere else.
    """
    exact = {(f.genotype.runtime, f.network): f for f in reversed(files) if f.artifact.exact}
    found, failed = [], {}
    for file in files:
        try:
            own = exact.get((file.genotype.runtime, file.network))
            found.append(_judged(file, own, factory))
        except (DeviceError, RunError):
            raise
        except Exception as error:
            failed[file.label] = error
    if not found:
        raise next(iter(failed.values()))
    return found, failed


def measured(
    files: Sequence[FileAhead], factory: Factory, measure: Measure
) -> tuple[list[FileAhead], dict[str, Exception]]:
    """All files of a device in one session, so that they can be compared.

    Those that the first device refuses, though they ran here, are told apart.
    """
    found: dict[str, dict[str, Latency]] = {file.label: {} for file in files}
    failed: dict[str, Exception] = {}
    for device in factory.assembly.deployed:
        timed, refused = _session(files, device, factory, measure)
        for label, latency in timed.items():
            found[label][device] = latency
        failed = {**refused, **failed}
    first = next(iter(factory.assembly.deployed))
    kept = [replace(f, latencies=found[f.label]) for f in files if first in found[f.label]]
    return kept, failed


def figures_of(
    file: FileAhead, networks: Networks, factory: Factory, measure: Measure
) -> tuple[ShippedFile, dict[str, float | str]]:
    """Every objective of a file, metrics on both splits, and what explains those on test."""
    assembly = factory.assembly
    subject = _subject(file, networks, factory, "test")
    values: dict[str, float] = {}
    notes: dict[str, float | str] = {}
    for target in assembly.targets:
        seat = assembly.seat(target.device, file.genotype.runtime)
        seen = _seen(subject, file, (target.device, seat), measure)
        values[target.name] = factory.measure(target.objective, seen)
        explained = target.objective.explain(seen)
        notes.update({f"{target.name}_{name}": note for name, note in explained.items()})
    macs = values.get("macs")
    if macs is None:
        macs = float(factory.plugins.create("objective", "macs", {}).measure(subject))
    shipped = _shipped(file, values, macs, assembly.task)
    chosen = _validated(_subject(file, networks, factory, "validation"), factory)
    told = replace(shipped, in_float=_in_float(file, factory), validated={**values, **chosen})
    return told, notes


def _subject(file: FileAhead, networks: Networks, factory: Factory, split: Split) -> Subject:
    return Subject(
        genotype=file.genotype,
        network=networks.named(file.network),
        input_shape=factory.assembly.facts.shape,
        metrics=file.figures(split),
        judge=factory.changed_images(file.artifact, split, file.genotype.runtime),
    )


def _validated(subject: Subject, factory: Factory) -> dict[str, float]:
    """The objectives that answers decide, of answers on validation."""
    return {
        target.name: factory.measure(target.objective, subject)
        for target in factory.assembly.tier("estimated")
    }


def _in_float(file: FileAhead, factory: Factory) -> tuple[str, ...]:
    """Where an approximation goes back to real numbers, which is what int8 fails to pay for."""
    if file.artifact.exact:
        return ()
    runtime = factory.assembly.runtime(file.genotype.runtime)
    with factory.gate.shared():
        return tuple(float_notes(runtime.kernels(file.artifact)))


def _shipped(file: FileAhead, values: Mapping[str, float], macs: float, task: Task) -> ShippedFile:
    figures, leading = file.figures("test"), task.leading.name
    return ShippedFile(
        label=file.label,
        runtime=file.runtime,
        file=file.artifact.path.name,
        file_format=file.artifact.format,
        size_bytes=file.artifact.size_bytes,
        steps=file.steps,
        values=dict(values),
        validation=file.figures("validation")[leading],
        agreement=file.agreement,
        latencies=dict(file.latencies),
        reached=figures[leading],
        metrics={m.name: figures[m.name] for m in task.metrics if m.name in figures},
        before=file.before,
        network=file.network,
        number=file.number,
        macs=macs,
    )


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
    # A runtime's own file comes before what is made of it.
    for made in sorted(found, key=lambda made: len(_file_steps(made.genotype, factory))):
        yield "", made


def _label(made: VariantFiles, factory: Factory, network: str, taken: set[str]) -> str:
    """What was done to a file, after the runtime's name where that is not the first.

    Third parties may leave it unsaid: what a compressor did then stands in the file's name
    (model.int8.onnx).
    """
    steps = _file_steps(made.genotype, factory)
    own = network or EXACT
    if steps:
        own = steps[-1][0]
        if made.error is None:
            named = ".".join(made.artifact.path.name.split(".")[1:-1])
            own = made.artifact.label or named or own
    first = factory.assembly.runtime_name("")
    wanted = own if made.runtime == first else f"{made.runtime}.{own}"
    return wanted if wanted not in taken else f"{wanted}-{len(taken)}"


def _file_steps(genotype: Genotype, factory: Factory) -> list[tuple[str, str]]:
    """What is done to a genotype's file, in order: names and choices."""
    compression = factory.assembly.compression
    return [
        (step.name, repr(sorted(step.choices.items())))
        for step in compression.steps(genotype)
        if isinstance(compression.compressors[step.name], ArtifactCompressor)
    ]


def _before(
    made: VariantFiles, network: str, found: Sequence[FileAhead], factory: Factory
) -> FileAhead | None:
    """The file that the last step was done to, or the nearest before it that is in the folder."""
    if network:
        return None
    steps = _file_steps(made.genotype, factory)
    alike = [f for f in found if f.genotype.runtime == made.genotype.runtime]
    if not steps:
        return next((f for f in alike if f.network), None)
    lengths = {
        len(own): f
        for f in alike
        if not f.network and (own := _file_steps(f.genotype, factory)) == steps[: len(own)]
    }
    return lengths[max(lengths)] if lengths else None


def _steps(
    made: VariantFiles, networks: Networks, factory: Factory, network: str
) -> tuple[str, ...]:
    """Names of what was done; a network before pruning was trained as its genotype says too."""
    if not network:
        return made.steps
    compression = factory.assembly.compression
    return tuple(
        step.name
        for step in compression.steps(networks.genotype)
        if isinstance(compression.compressors[step.name], TrainingCompressor)
    )


def _exact(made: VariantFiles, factory: Factory) -> dict[str, Artifact]:
    """The files; what a runtime compiles is exact, even where it does not say so."""
    untouched = not _file_steps(made.genotype, factory)
    return {
        device: replace(artifact, exact=artifact.exact or (untouched and not artifact.label))
        for device, artifact in made.files.items()
    }


def _judged(file: FileAhead, exact: FileAhead | None, factory: Factory) -> FileAhead:
    runtime, artifact = file.genotype.runtime, file.artifact
    agreement = None
    if exact is not None and not artifact.exact:
        runtimes = (runtime, runtime)
        apart = factory.distance(artifact, exact.artifact, "validation", runtimes)
        agreement = 1 - apart
    test, worst = factory.examined(artifact, "test", gate=factory.gate, runtime=runtime)
    validation = factory.score(artifact, "validation", gate=factory.gate, runtime=runtime)
    return replace(file, test=test, validation=validation, worst=worst, agreement=agreement)


def _session(
    files: Sequence[FileAhead], device: str, factory: Factory, measure: Measure
) -> tuple[dict[str, Latency], dict[str, Exception]]:
    """By label the latencies of one session, and what kept a file from being measured.

    Raises that where none could be.
    """
    seats = {f.label: factory.assembly.seat(device, f.genotype.runtime) for f in files}
    found = together({f.label: (f.files[device], seats[f.label]) for f in files}, measure)
    timed = {label: latency for label, latency in found.items() if isinstance(latency, Latency)}
    refused: dict[str, Exception] = {
        label: error for label, error in found.items() if isinstance(error, Exception)
    }
    if not timed:
        raise next(iter(refused.values()))
    return timed, refused


def _seen(subject: Subject, file: FileAhead, where: tuple[str, str], measure: Measure) -> Subject:
    """The subject with its file on a device and its seat there, if it was measured there."""
    device, seat = where
    if device not in file.latencies:
        return subject
    return replace(
        subject,
        artifact=file.files[device],
        latency=lambda: file.latencies[device],
        gauge=lambda asked: measure.gauge(file.files[device], seat, asked),
    )
