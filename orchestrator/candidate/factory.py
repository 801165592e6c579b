"""A genotype's way to an exported file: build, compress, compile, and ask the file itself."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from orchestrator.candidate.assembly import Assembly, assemble, settle
from orchestrator.candidate.changed_images import ChangedImages
from orchestrator.candidate.compression import Variant
from orchestrator.candidate.latency_table import LatencyTable, table_path
from orchestrator.candidate.static_values import StaticValues
from orchestrator.candidate.teachers import load_teacher, named_teachers
from orchestrator.candidate.treatment import StepAhead, Treatment
from orchestrator.candidate.variants import FileMaker, VariantFiles
from orchestrator.config import StudyConfig
from orchestrator.contracts import (
    Artifact,
    ArtifactCompressor,
    Batch,
    CompressionContext,
    Device,
    EstimationContext,
    Estimator,
    Judge,
    Loss,
    NetworkCompressor,
    Objective,
    Retrain,
    Split,
    Subject,
    TrainingCompressor,
    samples_of,
)
from orchestrator.errors import BuildError
from orchestrator.measuring.gate import Gate, held
from orchestrator.plugins import Plugins
from orchestrator.pretrained.listing import TRAINED
from orchestrator.pretrained.starting import StartingWeights, load_start, start_file
from orchestrator.records import Choices, Genotype
from orchestrator.training.batches import views_of
from orchestrator.training.building import build_network
from orchestrator.training.calibration import Calibration
from orchestrator.training.epochs import TrainRun, own_loss, train
from orchestrator.training.estimation import estimation_context
from orchestrator.training.footing import Footing
from orchestrator.training.placement import choose_placement, placed
from orchestrator.training.scoring import leading_figure
from orchestrator.training.structure import structure_of
from orchestrator.trials import apart

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Factory", "Treatment", "seed_of"]

_PREDICT_IMAGES = 512
_SHOWN_IMAGES = 6


def seed_of(genotype: Genotype, seed: int) -> int:
    """A seed that depends on the architecture and the run's seed, never on the order of work."""
    return apart(seed, int(genotype.plain().key[:8], 16)) % 2**31


class Factory:
    """Makes networks and files of one study; made once a process and reused.

    `folder` is the run's and must be reachable here: a teacher lies in it.
    """

    def __init__(self, config: StudyConfig, folder: Path, gate: Gate, plugins: Plugins) -> None:
        self._settling: list[str] = []
        self.config = config = settle(config, plugins, self._settling)
        self.folder = folder
        self.gate = gate
        self.plugins = plugins
        self.assembly: Assembly = assemble(config, plugins)
        self.calibration = Calibration(self.assembly.dataset)
        task, placement = self.assembly.task, choose_placement(config.train)
        self.footing = Footing(task, self.assembly.dataset, placement, gate)
        self.static_values = StaticValues(self.assembly, self.preview, self.measure)
        self._teacher: nn.Module | None = None
        self._tables: dict[Path, LatencyTable] = {}

    def with_estimator(self, estimator: Estimator) -> Factory:
        """The same factory, with accuracy known another way."""
        other = copy.copy(self)
        other.assembly = replace(self.assembly, estimator=estimator)
        return other

    def with_seed(self, turn: int) -> Factory:
        """The factory for the `turn`-th of several trainings; the first has the run's own seed."""
        if not turn:
            return self
        other, seed = copy.copy(self), apart(self.config.run.seed, turn)
        other.config = replace(self.config, run=replace(self.config.run, seed=seed))
        return other

    @property
    def notes(self) -> list[str]:
        """What the user should be told of runtimes, and of the training images that parts want."""
        objectives = [target.objective for target in self.assembly.targets]
        wanted = self.calibration.notes(self.assembly.compressors, objectives)
        return [*self._settling, *wanted]

    def build(self, genotype: Genotype) -> nn.Module:
        """The plain network with weights drawn from its own seed; raises BuildError."""
        assembly, seed = self.assembly, seed_of(genotype, self.config.run.seed)
        return build_network(
            assembly.space, genotype, assembly.facts, seed=seed, task=assembly.task
        )

    @property
    def start(self) -> StartingWeights | None:
        """The trained weights that the run starts from; None where it starts from noise.

        None too while those that the search trains itself are not there yet. Raises RunError where
        others are not in the run's folder.
        """
        weights = self.config.weights
        if weights is None or (weights == TRAINED and not start_file(self.folder).exists()):
            return None
        return load_start(self.folder, self.assembly.space)

    @property
    def start_answers(self) -> Choices | None:
        """The space's answers for the network of those weights; None for none, or none known."""
        return None if self.start is None else self.start.answers

    def started(self, genotype: Genotype) -> nn.Module:
        """As `build`, with the part of the starting weights that the network can hold."""
        network = self.build(genotype)
        if self.start is not None:
            self.start.give(network)
        return network

    def macs(self, genotype: Genotype) -> float:
        """Multiply-adds of the plain network for one image; raises BuildError."""
        return self.macs_of(self.build(genotype).eval())

    def macs_of(self, network: nn.Module) -> float:
        """Multiply-adds of a network that is there, for one image."""
        genotype = Genotype(self.assembly.space.name, "", {})
        subject = Subject(genotype, network, self.assembly.facts.shape)
        return float(self.plugins.create("objective", "macs", {}).measure(subject))

    def table(self, objective: Objective) -> LatencyTable:
        """The latency table that an objective reads; raises RunError or ConfigError."""
        assembly = self.assembly
        path = Path(objective.table) if objective.table else table_path(assembly)
        if path not in self._tables:
            table = LatencyTable.read(path)
            table.check(assembly.space.name, assembly.device.name, assembly.facts.shape)
            self._tables[path] = table
        return self._tables[path]

    def static(self, genotype: Genotype) -> dict[str, float]:
        """Every static objective of the network in its final shape; raises CandidateError."""
        with self.gate.shared():
            return self.static_values.of(genotype)

    def same(self, genotype: Genotype) -> str:
        """Equal for genotypes of one network that is treated alike; costs a build, if any."""
        if self.assembly.space.distinct:
            return genotype.key
        try:
            structure = structure_of(self.build(genotype))
        except BuildError:
            return genotype.key  # which its evaluation will tell
        return (
            f"{structure}-{replace(genotype, architecture={}).key}" if structure else genotype.key
        )

    def preview(self, genotype: Genotype) -> nn.Module:
        """The network in its final shape, pruned but untrained."""
        return self.compress(self.build(genotype), Treatment(genotype))

    def compress(self, network: nn.Module, treatment: Treatment) -> nn.Module:
        """Prune and the like, in place, retraining with the candidate's own loss."""
        for step in self.steps_ahead(NetworkCompressor, treatment):
            network = step.compressor.compress(network, step.choices, step.context)
        return network.eval()

    def compile(
        self, network: nn.Module, treatment: Treatment, path: Path, *, final: bool
    ) -> list[Artifact]:
        """The first device's file, then each file that a compressor made of the one before."""
        return FileMaker(self, network, path, final=final).chain(treatment)

    def variants(
        self, network: nn.Module, treatment: Treatment, path: Path, *, final: bool
    ) -> list[VariantFiles]:
        """Every way to run a network that went through its genotype's network steps.

        What the genotype itself says comes first. Each has its file on every device that is asked,
        or what kept it from being made. What several share is made once.
        """
        wanted = self.assembly.compression.variants(treatment.genotype)
        return self.files(wanted, network, treatment, path, final=final)

    def files(
        self,
        wanted: Sequence[Variant],
        network: nn.Module,
        treatment: Treatment,
        path: Path,
        *,
        final: bool,
    ) -> list[VariantFiles]:
        """Some of the variants; see `variants`."""
        maker = FileMaker(self, network, path, final=final)
        return [maker.made(variant, treatment) for variant in wanted]

    def score(
        self, artifact: Artifact, split: Split, *, gate: Gate | None, runtime: Device | None = None
    ) -> Judge:
        """The task's judge, having seen what a file answers to a whole split in its runtime.

        That is the first device's first, here as below, where none is given.
        """
        judge = self.footing.task.judge(self.assembly.facts)
        for (answers,), targets in self._answers([(artifact, runtime)], split, gate):
            judge.add(answers, targets)
        return judge

    def examined(
        self, artifact: Artifact, split: Split, *, gate: Gate | None, runtime: Device | None = None
    ) -> tuple[Judge, list[int]]:
        """The judge, and which images of the split were answered most wrongly, those first."""
        task, seen = self.footing.task, 0
        judge = task.judge(self.assembly.facts)
        worst: list[tuple[float, int]] = []
        for (answers,), targets in self._answers([(artifact, runtime)], split, gate):
            judge.add(answers, targets)
            found = enumerate(task.wrongness(answers, targets).tolist(), start=seen)
            # Of equal ones the earlier.
            wrong = [(share, -index) for index, share in found if share > 0]
            worst, seen = heapq.nlargest(_SHOWN_IMAGES, [*worst, *wrong]), seen + len(targets)
        return judge, [-index for _, index in worst]

    def changed_images(
        self, artifact: Artifact, split: Split, runtime: Device | None = None
    ) -> ChangedImages:
        """What judges a file's answers, in its runtime, to changed images of a split."""
        predict = partial((runtime or self.assembly.device).predict, artifact)
        return ChangedImages(predict, samples_of(self.assembly.dataset, split), self.footing)

    def pictures(
        self, artifact: Artifact, shown: Sequence[int], runtime: Device | None = None
    ) -> Sequence[Mapping[str, str]]:
        """Some test images as the task shows them with what a file answers; may be empty."""
        if not shown:
            return ()
        device = runtime or self.assembly.device
        samples, facts = samples_of(self.assembly.dataset, "test"), self.assembly.facts
        pixels, targets = samples.read(np.array(shown))
        with self.gate.shared():
            answers = device.predict(artifact, facts.normalise(np.asarray(pixels)))
        seen = torch.from_numpy(np.array(pixels)), torch.from_numpy(np.array(targets))
        batch = Batch(*seen, facts, mirror=False, side=facts.image_size)
        return self.assembly.task.pictures(batch, torch.from_numpy(answers))

    def distance(
        self, first: Artifact, second: Artifact, split: Split, runtime: Device | None = None
    ) -> float:
        """The share of a split, in [0, 1], that two files of a runtime answer differently."""
        apart, seen = 0.0, 0
        pair = [(first, runtime), (second, runtime)]
        for answers, targets in self._answers(pair, split, self.gate):
            apart += self.footing.task.distance(*answers) * len(targets)
            seen += len(targets)
        return apart / seen

    def _answers(
        self, files: Sequence[tuple[Artifact, Device | None]], split: Split, gate: Gate | None
    ) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Batch by batch what each file answers, run by the runtime beside it, and the targets."""
        asked = [(runtime or self.assembly.device, artifact) for artifact, runtime in files]
        samples, facts = samples_of(self.assembly.dataset, split), self.assembly.facts
        for start in range(0, len(samples), _PREDICT_IMAGES):
            indices = np.arange(start, min(start + _PREDICT_IMAGES, len(samples)))
            with held(gate):
                pixels, targets = samples.read(indices)
                images = facts.normalise(np.asarray(pixels))
                answers = [device.predict(artifact, images) for device, artifact in asked]
            yield [torch.from_numpy(answer) for answer in answers], torch.from_numpy(targets)

    def loss(self, genotype: Genotype) -> Loss | None:
        """The candidate's own training loss if compressors change it, each the one before."""
        loss: Loss | None = None
        for step in self.steps_ahead(
            TrainingCompressor, Treatment(genotype, self.config.train.epochs)
        ):
            context = step.context if loss is None else replace(step.context, loss=loss)
            loss = step.compressor.loss(step.choices, context)
        return loss

    def teacher(self) -> nn.Module | None:
        """The given teacher, or the one this run trained; None where there is neither."""
        trained = self.folder / "teacher"
        told = named_teachers(self.config.teacher) or ([str(trained)] if trained.is_dir() else [])
        if self._teacher is None and told:
            facts = self.assembly.facts
            outputs = self.assembly.task.outputs(facts)
            network = load_teacher(told, facts, outputs, self.plugins)
            self._teacher = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._teacher

    def estimation(self, genotype: Genotype | None = None) -> EstimationContext:
        """What the estimator may use, for one candidate or for what all of them share."""
        seed = self.config.run.seed
        return estimation_context(
            self.footing,
            self.assembly.space,
            self.config.train,
            self.folder / "weights",
            objectives=self.assembly.asked,
            seed=seed_of(genotype, seed) if genotype else seed,
            loss=self.loss(genotype) if genotype else None,
            start=self.start,
        )

    def measure(self, objective: Objective, subject: Subject) -> float:
        """What an objective says of a subject, given as many training images as it asks for."""
        return float(self.measured(objective, subject))

    def measured(self, objective: Objective, subject: Subject) -> Any:
        """The same as it was said, which is a number if the contract is kept."""
        batch = partial(self.calibration.images, objective.training_images)
        subject = replace(subject, batch=batch)
        if objective.table is not None:
            table = self.table(objective)
            tabled = partial(table.latency, subject.network)
            subject = replace(subject, tabled=tabled)
        return objective.measure(subject)

    def judge(
        self, subject: nn.Module | Artifact, *, gate: Gate | None, runtime: Device | None = None
    ) -> float:
        """The leading metric of a network or a file on the validation split.

        Whoever holds the gate already gives none, as it cannot be held twice.
        """
        if isinstance(subject, Artifact):
            figures = self.score(subject, "validation", gate=gate, runtime=runtime).figures()
            return float(figures[self.footing.task.leading.name])
        footing = self.footing if gate else self.footing.ungated
        with placed(subject, footing.placement):
            return leading_figure(subject, footing)

    def context(self, treatment: Treatment) -> CompressionContext:
        """What compressors may use; those that ask for more images get them beside."""
        preview, genotype = treatment.epochs == 0, treatment.genotype
        images, targets = self.calibration.images(0)
        return CompressionContext(
            space=self.assembly.space,
            device=self.assembly.device,
            calibration=images,
            targets=targets,
            seed=seed_of(genotype, self.config.run.seed),
            retrain=None if preview else self._retrainer(treatment),
            teacher=None if preview else self.teacher(),
            loss=own_loss(self.footing.task),
            preview=preview,
            judge=None if preview else partial(self.judge, gate=self.gate),
            ranges=treatment.ranges,
            task=self.assembly.task,
            views=views_of(self.assembly.dataset, self.config.train),
            report=treatment.report,
        )

    def steps_ahead(
        self, kind: Any, treatment: Treatment, device: Device | None = None
    ) -> Iterator[StepAhead]:
        """The compressors of one kind that a genotype uses, in order, with what each may use.

        `device` is the runtime whose file is treated, by default the first.
        """
        active = list(self.assembly.compression.active(kind, treatment.genotype))
        context = self.context(treatment) if active else None
        for compressor, choices in active:
            assert context is not None
            if kind is ArtifactCompressor and context.judge is not None:
                own = device or self.assembly.runtime(treatment.genotype.runtime)
                context = replace(context, judge=partial(self.judge, gate=None, runtime=own))
            if not context.preview:
                images, targets = self.calibration.images(compressor.calibration_images)
                context = replace(context, calibration=images, targets=targets)
            if kind is NetworkCompressor and not context.preview:
                context = self._with_loss(context, treatment.genotype)
            yield StepAhead(compressor, choices, replace(context, device=device or context.device))

    def _with_loss(self, context: CompressionContext, genotype: Genotype) -> CompressionContext:
        """With the loss that the candidate was trained with."""
        taught = any(
            compressor.needs_teacher
            for compressor, _ in self.assembly.compression.active(TrainingCompressor, genotype)
        )
        return replace(context, loss=self.loss(genotype) or context.loss, taught=taught)

    def _retrainer(self, treatment: Treatment) -> Retrain:
        genotype = treatment.genotype

        def retrain(
            network: nn.Module, share: float, *, loss: Loss | None = None, steps: int | None = None
        ) -> None:
            run = TrainRun(
                epochs=max(1, round(share * treatment.epochs)),
                seed=seed_of(genotype, self.config.run.seed) + 1,
                loss=loss or self.loss(genotype),
                warm=True,
                steps=steps,
                images=treatment.most_images,
            )
            train(network, self.footing, self.config.train, run)

        return retrain
