"""Networks of the front, trained properly, compressed, exported, checked and put into folders."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from orchestrator.analysis import pareto
from orchestrator.bundle import BundleContents, check_images, verify, write_bundle
from orchestrator.candidate.assembly import excess
from orchestrator.candidate.deployment import Measure
from orchestrator.candidate.factory import Factory, seed_of
from orchestrator.candidate.folder_files import UNPRUNED, FileAhead, Networks, made_files
from orchestrator.candidate.marks import Aims, Mark, budget_marks, gated
from orchestrator.candidate.shipping import figures_of, judged, measured
from orchestrator.candidate.taught import finalists_loss, inherit
from orchestrator.contracts import Axis, Usage
from orchestrator.data import kept_summary
from orchestrator.errors import OrchestratorError
from orchestrator.files import write_json
from orchestrator.plugins import version_of
from orchestrator.records import Finalist, Genotype, Record, ShippedFile
from orchestrator.training.epochs import TrainRun, train

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Elected", "finish", "make_teacher"]


@dataclass(frozen=True)
class Elected:
    """A network of the front: the record of its training, and the others of the same training.

    `axes` are what the search is for; `fingerprints` what latencies depend on, by device.
    `teachers` are trained networks of the search that it learns from beside the labels.
    """

    record: Record
    axes: Sequence[Axis]
    variants: Sequence[Record] = ()
    fingerprints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    teachers: Sequence[Genotype] = ()

    @property
    def numbers(self) -> dict[str, int]:
        """The candidates' numbers by their genotypes' keys."""
        return {record.genotype.key: record.number for record in (*self.variants, self.record)}


@dataclass(frozen=True)
class _Ahead:
    """A finalist on its way: its networks, its files, and what each of them is worth.

    `reached` is the leading metric on validation of each training, before any compression;
    `notes` explain figures by the files' labels, `failed` says what could not be made.
    """

    elected: Elected
    networks: Networks
    reached: Sequence[float]
    files: Sequence[FileAhead]
    shipped: Sequence[ShippedFile]
    notes: Mapping[str, Mapping[str, float | str]]
    failed: Mapping[str, Exception]

    def file(self, label: str) -> FileAhead:
        """One of its files."""
        return next(file for file in self.files if file.label == label)


def finish(elected: Elected, factory: Factory, measure: Measure) -> Finalist:
    """Take a network of the front to its folder; returns what tables and the report show.

    The test split is read here and nowhere else, by the exported files in their own runtimes.
    """
    work = factory.folder / "models" / f".{elected.record.id}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        return _ship(_made(elected, factory, measure, work), factory)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def make_teacher(genotype: Genotype, factory: Factory) -> dict[str, Any]:
    """Train the network that others are distilled from; it becomes the folder `teacher`."""
    network = factory.started(genotype)
    config = factory.config
    run = TrainRun(
        epochs=config.train.taught_epochs,
        seed=seed_of(genotype, config.run.seed),
    )
    training = train(network, factory.footing, config.train, run)
    figures = {f"validation_{_leading(factory)}": training.curve[-1]}
    contents = _contents(genotype, network, factory, figures)
    start = factory.start
    if start is not None and start.genotype.plain() == genotype.plain():
        contents = replace(contents, choices=start.answers or {})
    write_bundle(factory.folder / "teacher", contents)
    return figures


def _made(elected: Elected, factory: Factory, measure: Measure, work: Path) -> _Ahead:
    genotype = elected.record.genotype
    trained, reached = _best_trained(elected, factory)
    networks = Networks.of(trained, genotype, factory)
    made, unmade = made_files(networks, factory, work, elected.numbers)
    asked, unasked = judged(made, factory)
    files, unmeasured = measured(asked, factory, measure)
    found = [figures_of(file, networks, factory, measure) for file in files]
    shipped = [file for file, _ in found]
    notes = {file.label: told for file, told in found}
    failed = {**unmade, **unasked, **unmeasured}
    return _Ahead(elected, networks, reached, files, shipped, notes, failed)


def _best_trained(elected: Elected, factory: Factory) -> tuple[nn.Module, list[float]]:
    """The best on validation of as many trainings as there are seeds; the first has the run's."""
    best: nn.Module | None = None
    reached: list[float] = []
    for turn in range(factory.config.budget.seeds):
        network, figure = _trained(elected, factory.with_seed(turn))
        if best is None or figure > max(reached):
            best = network
        reached.append(figure)
    assert best is not None
    return best, reached


def _trained(elected: Elected, factory: Factory) -> tuple[nn.Module, float]:
    """A network trained as a finalist is, and its leading metric on validation."""
    genotype = elected.record.genotype
    network = factory.started(genotype)
    warm = inherit(network, genotype, factory)
    run = TrainRun(
        epochs=factory.config.train.final_epochs,
        seed=seed_of(genotype, factory.config.run.seed),
        loss=finalists_loss(genotype, elected.teachers, factory),
        warm=warm,
    )
    return network, train(network, factory.footing, factory.config.train, run).curve[-1]


def _ship(ahead: _Ahead, factory: Factory) -> Finalist:
    """Written once to be verified, and again with what is recommended."""
    record = ahead.elected.record
    folder = factory.folder / "models" / record.id
    contents = _with_files(ahead, factory)
    write_bundle(folder, contents)
    files = _gated(folder, ahead, factory)
    leads = _leads(files, ahead.elected.axes, factory)
    found = _finalist(ahead, files, leads, factory)
    told = {**found.figures, **ahead.notes[found.label], **ahead.networks.treatment.report}
    write_bundle(
        folder,
        replace(
            contents,
            recommended=found.label,
            usage=_usage(found.label, ahead, factory),
            leads=found.leads,
            usages={
                label: usage
                for label in found.leads.values()
                if (usage := _usage(label, ahead, factory))
            },
            figures=told,
            classes=found.classes,
            confusions=found.confusions,
            files=[asdict(file) for file in files],
        ),
    )
    write_json(folder / "result.json", found.to_json())
    return found


def _usage(label: str, ahead: _Ahead, factory: Factory) -> Usage | None:
    file = ahead.file(label)
    return file.executor(factory).usage(file.artifact)


def _finalist(
    ahead: _Ahead,
    files: Sequence[ShippedFile],
    leads: Mapping[str, ShippedFile],
    factory: Factory,
) -> Finalist:
    lead = next(iter(leads.values()))
    record, file = ahead.elected.record, ahead.file(lead.label)
    # Within the run's folder, which may be moved or copied.
    folder = f"models/{record.id}"
    placed = [replace(each, file=f"{folder}/{each.file}") for each in files]
    lost = [f"{label} could not be made: {_line(error)}" for label, error in ahead.failed.items()]
    return Finalist(
        id=record.id,
        number=record.number,
        name=_name(record, lead),
        folder=folder,
        file=f"{folder}/{lead.file}",
        file_format=lead.file_format,
        values=dict(lead.values),
        figures=_figures(ahead, lead, factory),
        marks=(*lead.marks, *lost),
        recommended=lead.recommended,
        verified=lead.verified,
        choices=dict(record.choices),
        classes=file.judge.classes(),
        colours=factory.assembly.task.colours(factory.assembly.facts),
        pictures=tuple(factory.pictures(file.artifact, file.worst, file.executor(factory))),
        confusions=tuple(file.judge.confusions()),
        files=tuple(placed),
        label=lead.label,
        leads={key: each.label for key, each in leads.items()} if len(leads) > 1 else {},
    )


def _gated(folder: Path, ahead: _Ahead, factory: Factory) -> list[ShippedFile]:
    """The files with their marks, each verified in its own runtime."""
    known: dict[str, list[Mark]] = {}
    verified = []
    for file in ahead.shipped:
        marks = _budget_marks(file, factory)
        good = _verified(folder, factory, ahead.file(file.label), marks)
        known[file.label] = marks
        verified.append(replace(file, verified=good))
    return gated(verified, known, _aims(ahead, factory))


def _budget_marks(file: ShippedFile, factory: Factory) -> list[Mark]:
    """A budget is a promise: what is chosen on validation keeps it, and so does what test tells."""
    targets = factory.assembly.targets
    broken = excess(file.decisive, targets)
    on_test = {k: by for k, by in excess(file.values, targets).items() if k not in broken}
    told = [replace(mark, text=f"{mark.text} on test") for mark in budget_marks(on_test)]
    return [*budget_marks(broken), *told]


def _aims(ahead: _Ahead, factory: Factory) -> Aims:
    """What the search is for. What a device's latency is, is found by its value."""
    timed = {}
    for target in factory.assembly.targets:
        there = [file for file in ahead.shipped if target.device in file.latencies]
        if all(f.values.get(target.name) == f.latencies[target.device].ms for f in there):
            timed[target.name] = target.device
    leading, judge = factory.assembly.task.leading, ahead.files[0].validation
    images = judge.count if leading.of_images and judge else 0
    return Aims(ahead.elected.axes, timed, leading.name, images)


def _leads(
    files: Sequence[ShippedFile], axes: Sequence[Axis], factory: Factory
) -> dict[str, ShippedFile]:
    """By device, the first one first, which file leads: by what is known of it there."""
    placed = {target.name: target.device for target in factory.assembly.targets if target.placed}
    found = {}
    for device in factory.assembly.deployed:
        own = [axis for axis in axes if placed.get(axis.name, device) == device]
        if there := [file for file in files if device in file.latencies]:
            found[device] = _lead(there, own)
    return found


def _lead(files: Sequence[ShippedFile], axes: Sequence[Axis]) -> ShippedFile:
    """The file that suits most: within the budget, else the best compromise.

    Where none may be recommended it is the first that computes the network after its steps.
    """
    offered = [file for file in files if file.recommended]
    found = pareto.picks([file.decisive for file in offered], axes)
    if found:
        return offered[next(iter(found.values()))]
    return next((file for file in [*offered, *files] if not file.network), files[0])


def _with_files(ahead: _Ahead, factory: Factory) -> BundleContents:
    """All that is known before files are verified."""
    networks, assembly = ahead.networks, factory.assembly
    artifacts = {file.label: file.artifact for file in ahead.files}
    runtimes = {file.label: file.runtime for file in ahead.files}
    answers = {file.label: _answers(file, factory) for file in ahead.files}
    packages = [d.packages for found in assembly.runtimes.values() for d in found.values()]
    contents = _contents(networks.genotype, networks.network, factory, {})
    versions = {name: version_of(name) for names in packages for name in names}
    return replace(
        contents,
        artifacts=artifacts,
        runtimes=runtimes,
        answers=answers,
        ranges=networks.treatment.ranges,
        earlier={} if networks.unpruned is None else {UNPRUNED: networks.unpruned},
        computed={file.label: file.network for file in ahead.files},
        versions={**contents.versions, **versions},
        fingerprints=ahead.elected.fingerprints,
        taught_by=[teacher.key for teacher in ahead.elected.teachers],
        choices=ahead.elected.record.choices,
    )


def _answers(file: FileAhead, factory: Factory) -> torch.Tensor:
    """What a file answers here to the images that folders are checked with."""
    facts = factory.assembly.facts
    images = facts.normalise(check_images(facts)).numpy()
    with factory.gate.shared():
        return torch.from_numpy(file.executor(factory).predict(file.artifact, images))


def _contents(
    genotype: Genotype, network: nn.Module, factory: Factory, figures: Mapping[str, Any]
) -> BundleContents:
    packages = ("pareto-orchestrator", "torch", *factory.assembly.device.packages)
    return BundleContents(
        genotype=genotype,
        network=network,
        images=factory.assembly.facts,
        space_options=dict(factory.config.space.options),
        task_options=dict(factory.config.task.options),
        outputs=factory.assembly.task.outputs(factory.assembly.facts),
        figures=dict(figures),
        versions={package: version_of(package) for package in packages},
        start=factory.start.credit if factory.start else None,
        pixels=factory.assembly.dataset.pixels,
        data=kept_summary(factory.folder),
    )


def _figures(ahead: _Ahead, lead: ShippedFile, factory: Factory) -> dict[str, Any]:
    """Of the file that leads."""
    leading, notes = _leading(factory), ahead.notes[lead.label]
    figures: dict[str, Any] = {
        f"test_{leading}": lead.reached,
        f"validation_{leading}": lead.validation,
        "size_bytes": lead.size_bytes,
        "macs": lead.macs,
    }
    figures |= _counted(ahead.file(lead.label), factory)
    figures |= {f"test_{k}": v for k, v in lead.metrics.items() if k not in lead.values}
    if lead.latency is not None:
        figures["latency_ms"] = lead.latency.ms
    if len(ahead.reached) > 1:
        figures |= _spread(ahead.reached, leading)
    if lead.agreement is not None:
        figures["agreement"] = lead.agreement
    figures |= {name: value for name, value in lead.values.items() if name != leading}
    return figures | {name: notes[name] for name in ("macs_exact", "macs_thop") if name in notes}


def _counted(file: FileAhead, factory: Factory) -> dict[str, float]:
    """Of how many images figures are, and what answering the largest class always would give."""
    found: dict[str, float] = {}
    if factory.assembly.task.leading.of_images:
        assert file.validation is not None
        found = {"test_images": file.judge.count, "validation_images": file.validation.count}
        counts = [told["count"] for told in file.judge.classes().values() if "count" in told]
        if counts:
            found["largest_class_share"] = max(counts) / sum(counts)
    return found


def _spread(reached: Sequence[float], leading: str) -> dict[str, float]:
    """What the seeds reached on validation: the network itself, before any compression."""
    return {
        "seeds": len(reached),
        f"seeds_mean_{leading}": sum(reached) / len(reached),
        f"seeds_lowest_{leading}": min(reached),
        f"seeds_highest_{leading}": max(reached),
    }


def _leading(factory: Factory) -> str:
    return factory.assembly.task.leading.name


def _verified(folder: Path, factory: Factory, file: FileAhead, marks: list[Mark]) -> bool:
    """Whether a file is the network's function in its runtime on each of its devices."""
    executors = [factory.assembly.runtime(file.genotype.runtime, key) for key in file.devices]
    try:
        for each in executors:
            verify(folder, each, labels={file.label}, plugins=factory.plugins)
    except OrchestratorError as error:
        marks.append(Mark(f"not verified: {error}", True))
        return False
    return True


def _name(record: Record, lead: ShippedFile) -> str:
    named = f" ({record.origin})" if record.origin != "sampler" else ""
    done = " → ".join(("trained", *lead.steps))
    return f"{record.genotype.space} #{record.number}{named}, {done}, {lead.runtime}"


def _line(error: Exception) -> str:
    """The first line of what it says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
