"""The files of one finalist: asked, measured in one session, each with figures of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.analysis.kernels import float_notes
from orchestrator.candidate.deployment import Measure, together
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.folder_files import FileAhead, Networks
from orchestrator.contracts import Latency, Split, Subject, Task
from orchestrator.errors import DeviceError, RunError
from orchestrator.records import ShippedFile

__all__ = ["figures_of", "judged", "measured"]


def judged(
    files: Sequence[FileAhead], factory: Factory
) -> tuple[list[FileAhead], dict[str, Exception]]:
    """With what each file answers in its own runtime, and those that do not run there.

    The test split is read here and nowhere else.
    """
    exact = {_kin(f): f for f in reversed(files) if f.artifact.exact}
    found, failed = [], {}
    for file in files:
        try:
            found.append(_judged(file, exact.get(_kin(file)), factory))
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

    Those that their device refuses, though they ran here, are told apart.
    """
    found: dict[str, dict[str, Latency]] = {file.label: {} for file in files}
    failed: dict[str, Exception] = {}
    for device in factory.assembly.deployed:
        timed, refused = _session(files, device, factory, measure)
        for label, latency in timed.items():
            found[label][device] = latency
        failed = {**refused, **failed}
    timed_ones = (f for f in files if f.devices[0] in found[f.label])
    return [replace(f, latencies=found[f.label]) for f in timed_ones], failed


def figures_of(
    file: FileAhead, networks: Networks, factory: Factory, measure: Measure
) -> tuple[ShippedFile, dict[str, float | str]]:
    """Every objective of a file, metrics on both splits, and what explains those on test.

    What is measured on a device is known of the files that it runs.
    """
    assembly = factory.assembly
    subject = _subject(file, networks, factory, "test")
    values: dict[str, float] = {}
    notes: dict[str, float | str] = {}
    known = [t for t in assembly.targets if not t.placed or t.device in file.latencies]
    for target in known:
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
        judge=factory.changed_images(file.artifact, split, file.executor(factory)),
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
    with factory.gate.shared():
        return tuple(float_notes(file.executor(factory).kernels(file.artifact)))


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


def _kin(file: FileAhead) -> tuple[str, str, str]:
    """Alike for the files of one network in one runtime."""
    return file.devices[0], file.genotype.runtime, file.network


def _judged(file: FileAhead, exact: FileAhead | None, factory: Factory) -> FileAhead:
    runtime, artifact = file.executor(factory), file.artifact
    agreement = None
    if exact is not None and not artifact.exact:
        agreement = 1 - factory.distance(artifact, exact.artifact, "validation", runtime)
    test, worst = factory.examined(artifact, "test", gate=factory.gate, runtime=runtime)
    validation = factory.score(artifact, "validation", gate=factory.gate, runtime=runtime)
    return replace(file, test=test, validation=validation, worst=worst, agreement=agreement)


def _session(
    files: Sequence[FileAhead], device: str, factory: Factory, measure: Measure
) -> tuple[dict[str, Latency], dict[str, Exception]]:
    """By label the latencies of one session, and what kept a file from being measured.

    Raises that where none could be.
    """
    seat, there = factory.assembly.seat, [file for file in files if device in file.devices]
    placed = {f.label: (f.artifact, seat(device, f.genotype.runtime)) for f in there}
    found = together(placed, measure)
    timed = {label: latency for label, latency in found.items() if isinstance(latency, Latency)}
    refused: dict[str, Exception] = {
        label: error for label, error in found.items() if isinstance(error, Exception)
    }
    if refused and not timed:
        raise next(iter(refused.values()))
    return timed, refused


def _seen(subject: Subject, file: FileAhead, where: tuple[str, str], measure: Measure) -> Subject:
    """The subject with its file on a device and its seat there, if it was measured there."""
    device, seat = where
    if device not in file.latencies:
        return subject
    return replace(
        subject,
        artifact=file.artifact,
        latency=lambda: file.latencies[device],
        gauge=lambda asked: measure.gauge(file.artifact, seat, asked),
    )
