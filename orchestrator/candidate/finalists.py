"""Members of the front, trained properly, compressed, exported, checked and put into folders."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.bundle import EXACT, BundleContents, verify, write_bundle
from orchestrator.candidate.assembly import excess
from orchestrator.candidate.deployment import Deployment, Measure
from orchestrator.candidate.factory import Factory, Treatment, seed_of
from orchestrator.candidate.marks import (
    Comparison,
    FileFigures,
    Mark,
    budget_marks,
    compression_marks,
)
from orchestrator.contracts import Artifact, Device, Judge, Latency, NetworkCompressor, Subject
from orchestrator.errors import OrchestratorError
from orchestrator.estimators.further import load_weights
from orchestrator.files import write_json
from orchestrator.plugins import version_of
from orchestrator.records import Finalist, Genotype, Record
from orchestrator.training.epochs import TrainRun, train

if TYPE_CHECKING:
    from torch import nn

__all__ = ["finish", "make_teacher"]

_UNCOMPRESSED = "uncompressed"


@dataclass
class _Variant:
    """One file of a finalist, what it is worth on test and its leading metric on validation."""

    artifact: Artifact
    test: Judge
    validation: float
    latency: Latency | None = None

    def figures(self, leading: str) -> FileFigures:
        """What the gate compares."""
        reached = self.test.figures()[leading]
        return FileFigures(_known(self.latency).ms, self.artifact.size_bytes, reached)


@dataclass
class _Finalist:
    """A finalist on its way; `files` are what each device that is asked would run.

    `reached` is the leading metric on validation of each training, before any compression.
    """

    record: Record
    network: nn.Module
    reached: Sequence[float]
    files: dict[str, Artifact] = field(default_factory=dict)
    variants: dict[str, _Variant] = field(default_factory=dict)
    ranges: Mapping[str, Any] = field(default_factory=dict)
    # What compressors tell people, such as what they achieved of what was asked.
    report: Mapping[str, Any] = field(default_factory=dict)
    # The share of validation images that the shipped file and its exact form answer alike.
    agreement: float = 1.0

    @property
    def shipped(self) -> str:
        """The label of the file that the candidate asked for."""
        return list(self.variants)[-1]

    @property
    def before(self) -> _Variant:
        """The float file without any compression."""
        return self.variants.get(_UNCOMPRESSED, self.own)

    @property
    def own(self) -> _Variant:
        """The network's own file, before a compressor changed it."""
        return next(v for label, v in self.variants.items() if label != _UNCOMPRESSED)


def finish(record: Record, factory: Factory, measure: Measure) -> Finalist:
    """Take a member of the front to its folder; returns what tables and the report show.

    The test split is read here and nowhere else, by the exported files in their own runtime.
    """
    work = factory.folder / "models" / f".{record.id}.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        finalist = _train_and_export(record, factory, work)
        deployment = _measured(finalist, factory, measure)
        return _ship(finalist, factory, deployment)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def make_teacher(genotype: Genotype, factory: Factory) -> dict[str, Any]:
    """Train the network that others are distilled from; it becomes the folder `teacher`."""
    network = factory.started(genotype)
    config = factory.config
    run = TrainRun(
        epochs=config.train.final_epochs,
        seed=seed_of(genotype, config.run.seed),
    )
    training = train(network, factory.footing, config.train, run)
    figures = {f"validation_{_leading(factory)}": training.curve[-1]}
    write_bundle(factory.folder / "teacher", _contents(genotype, network, factory, figures))
    return figures


def _train_and_export(record: Record, factory: Factory, work: Path) -> _Finalist:
    genotype, epochs = record.genotype, factory.config.train.final_epochs
    finalist = _best_trained(record, factory)
    network = finalist.network
    if any(factory.assembly.compression.active(NetworkCompressor, genotype)):
        plain = Treatment(genotype.plain(), epochs)
        artifacts = factory.compile(network, plain, work / _UNCOMPRESSED, final=True)
        finalist.variants[_UNCOMPRESSED] = _variant(factory, artifacts[0])
    treatment = Treatment(genotype, epochs)
    finalist.network = factory.compress(network, treatment)
    made = factory.compile_all(finalist.network, treatment, work / "model", final=True)
    finalist.files = {name: artifacts[-1] for name, artifacts in made.items()}
    for artifact in _labelled(next(iter(made.values()))):
        finalist.variants[artifact.label] = _variant(factory, artifact)
    finalist.ranges, finalist.report = treatment.ranges, treatment.report
    shipped, own = finalist.variants[finalist.shipped], finalist.own
    if shipped is not own:
        apart = factory.distance(shipped.artifact, own.artifact, "validation")
        finalist.agreement = 1 - apart
    return finalist


def _best_trained(record: Record, factory: Factory) -> _Finalist:
    """The best on validation of as many trainings as there are seeds; the first has the run's."""
    best: nn.Module | None = None
    reached: list[float] = []
    for turn in range(factory.config.budget.seeds):
        network, figure = _trained(record.genotype, factory.with_seed(turn))
        if best is None or figure > max(reached):
            best = network
        reached.append(figure)
    assert best is not None
    return _Finalist(record, best, reached)


def _trained(genotype: Genotype, factory: Factory) -> tuple[nn.Module, float]:
    """A network trained as a finalist is, and its leading metric on validation."""
    network = factory.started(genotype)
    warm = _inherit(network, genotype, factory)
    run = TrainRun(
        epochs=factory.config.train.final_epochs,
        seed=seed_of(genotype, factory.config.run.seed),
        loss=factory.loss(genotype),
        warm=warm,
    )
    return network, train(network, factory.footing, factory.config.train, run).curve[-1]


def _inherit(network: nn.Module, genotype: Genotype, factory: Factory) -> bool:
    """Load the weights that the search left for this architecture, if there are any."""
    context = replace(factory.estimation(), seed=seed_of(genotype, factory.config.run.seed))
    weights = factory.assembly.estimator.initial_weights(genotype.plain(), context)
    if weights is None:
        return False
    load_weights(network, weights, genotype)
    return True


def _variant(factory: Factory, artifact: Artifact) -> _Variant:
    validation = factory.judge(artifact, gate=factory.gate)
    return _Variant(artifact, factory.score(artifact, "test", gate=factory.gate), validation)


def _measured(finalist: _Finalist, factory: Factory, measure: Measure) -> Deployment:
    """All files of the first device in one session, so that before and after can be compared."""
    first, variants = next(iter(finalist.files)), list(finalist.variants.values())
    timed = measure([variant.artifact for variant in variants], first)
    for variant, latency in zip(variants, timed, strict=True):
        variant.latency = latency
    deployment = Deployment(factory.assembly, measure)
    deployment.take(finalist.files)
    deployment.latencies[first] = timed[-1]
    return deployment


def _elsewhere(finalist: _Finalist, factory: Factory) -> dict[str, Artifact]:
    """Files of devices that do not run what the first one does, by the devices' names."""
    devices = factory.assembly.devices
    first = next(iter(devices.values()))
    return {
        name: artifact
        for name, artifact in finalist.files.items()
        if artifact != next(iter(finalist.files.values())) and devices[name] is not first
    }


def _ship(finalist: _Finalist, factory: Factory, deployment: Deployment) -> Finalist:
    record = finalist.record
    values, notes = _values(finalist, factory, deployment)
    figures = {**_figures(finalist, factory), **_without(values, _leading(factory))}
    figures |= {name: notes[name] for name in ("macs_exact", "macs_thop") if name in notes}
    marks = _marks(finalist, factory, values)
    folder = factory.folder / "models" / record.id
    told = {**figures, **notes, **finalist.report}
    contents = _contents(record.genotype, finalist.network, factory, told)
    files = {k: v.artifact for k, v in finalist.variants.items() if k != _UNCOMPRESSED}
    recommended = not any(mark.blocks for mark in marks)
    usage = factory.assembly.device.usage(files[finalist.shipped])
    other = _elsewhere(finalist, factory)
    contents = replace(
        contents, artifacts={**files, **other}, recommended=finalist.shipped, usage=usage
    )
    classes = finalist.variants[finalist.shipped].test.classes()
    contents = replace(contents, ranges=finalist.ranges, classes=classes)
    write_bundle(folder, contents)
    verified = _verified(folder, factory.assembly.device, set(files), marks)
    for name in other:
        verified &= _verified(folder, factory.assembly.devices[name], {name}, marks)
    found = Finalist(
        id=record.id,
        number=record.number,
        name=_name(record),
        # Within the run's folder, which may be moved or copied.
        folder=f"models/{record.id}",
        file=f"models/{record.id}/{files[finalist.shipped].path.name}",
        file_format=files[finalist.shipped].format,
        values=values,
        figures=figures,
        marks=tuple(mark.text for mark in marks),
        recommended=recommended and verified,
        verified=verified,
        choices=dict(record.choices),
        classes=classes,
        colours=factory.assembly.task.colours(factory.assembly.facts),
        pictures=tuple(factory.pictures(files[finalist.shipped])),
    )
    write_json(folder / "result.json", found.to_json())
    return found


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
    )


def _values(
    finalist: _Finalist, factory: Factory, deployment: Deployment
) -> tuple[dict[str, float], dict[str, float | str]]:
    """Every objective of the shipped file, metrics on the test split, and what explains them."""
    shipped = finalist.variants[finalist.shipped]
    subject = Subject(
        genotype=finalist.record.genotype,
        network=finalist.network,
        input_shape=factory.assembly.facts.shape,
        metrics=shipped.test.figures(),
        judge=factory.changed_images(shipped.artifact, "test"),
    )
    values: dict[str, float] = {}
    notes: dict[str, float | str] = {}
    for target in factory.assembly.targets:
        seen = deployment.seen(subject, target.device)
        values[target.name] = factory.measure(target.objective, seen)
        explained = target.objective.explain(seen)
        notes.update({f"{target.name}_{name}": note for name, note in explained.items()})
    return values, notes


def _figures(finalist: _Finalist, factory: Factory) -> dict[str, Any]:
    shipped, before = finalist.variants[finalist.shipped], finalist.before
    timed, leading = _known(shipped.latency), _leading(factory)
    figures: dict[str, Any] = {
        f"test_{leading}": shipped.test.figures()[leading],
        f"validation_{leading}": shipped.validation,
        "latency_ms": timed.ms,
        "size_bytes": shipped.artifact.size_bytes,
    }
    if factory.assembly.task.leading.of_images:
        figures["test_images"] = shipped.test.count
    if len(finalist.reached) > 1:
        figures |= _spread(finalist.reached, leading)
    if shipped is not before:
        figures |= {
            f"test_{leading}_fp32": before.test.figures()[leading],
            "latency_fp32_ms": _known(before.latency).ms,
            "size_fp32_bytes": before.artifact.size_bytes,
            "agreement": finalist.agreement,
        }
    return figures


def _spread(reached: Sequence[float], leading: str) -> dict[str, float]:
    """What the seeds reached on validation: the network itself, before any compression."""
    return {
        "seeds": len(reached),
        f"seeds_mean_{leading}": sum(reached) / len(reached),
        f"seeds_lowest_{leading}": min(reached),
        f"seeds_highest_{leading}": max(reached),
    }


def _without(values: Mapping[str, float], name: str) -> dict[str, float]:
    """A finalist's leading metric is that on test, and is called so."""
    return {key: value for key, value in values.items() if key != name}


def _leading(factory: Factory) -> str:
    return factory.assembly.task.leading.name


def _marks(finalist: _Finalist, factory: Factory, values: Mapping[str, float]) -> list[Mark]:
    shipped, before = finalist.variants[finalist.shipped], finalist.before
    marks = budget_marks(excess(values, factory.assembly.targets))
    if shipped is before:
        return marks
    leading = _leading(factory)
    figures = before.figures(leading), shipped.figures(leading)
    return marks + compression_marks(Comparison(*figures, finalist.agreement, leading))


def _verified(folder: Path, device: Device, labels: set[str], marks: list[Mark]) -> bool:
    """Whether the files with these labels are the network's function on their device."""
    try:
        verify(folder, device, labels=labels)
    except OrchestratorError as error:
        marks.append(Mark(f"not verified: {error}", True))
        return False
    return True


def _known(latency: Latency | None) -> Latency:
    assert latency is not None
    return latency


def _labelled(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Each with a label of its own: the network's own file first, then what was done to it.

    Third parties may leave both unsaid: what a device compiles is then exact, and what a
    compressor did stands in the file's name (model.int8.onnx).
    """
    own, *changed = artifacts
    own = replace(own, label=own.label or EXACT, exact=own.exact or not own.label)
    found = {own.label: own}
    for artifact in changed:
        told = artifact.label or ".".join(artifact.path.name.split(".")[1:-1]) or "changed"
        label = told if told not in found else f"{told}-{len(found)}"
        found[label] = replace(artifact, label=label)
    return list(found.values())


def _name(record: Record) -> str:
    named = f" ({record.origin})" if record.origin != "sampler" else ""
    done = "+".join(step.name for step in record.genotype.compression) or "uncompressed"
    return f"{record.genotype.space} #{record.number}{named}, {done}"
