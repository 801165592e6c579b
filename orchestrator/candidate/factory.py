"""A genotype's way to an exported file: build, compress, compile, and ask the file itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from orchestrator.bundle import rebuild
from orchestrator.candidate.assembly import Assembly, assemble
from orchestrator.config import StudyConfig
from orchestrator.contracts import (
    Artifact,
    ArtifactCompressor,
    CompressionContext,
    EstimationContext,
    Estimator,
    Loss,
    NetworkCompressor,
    Split,
    Subject,
    TrainingCompressor,
)
from orchestrator.errors import BuildError, CandidateError
from orchestrator.measuring.gate import Gate
from orchestrator.plugins import Plugins
from orchestrator.records import Genotype
from orchestrator.training.batches import normalise
from orchestrator.training.epochs import TrainRun, train

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Factory", "seed_of"]

_CALIBRATION_IMAGES = 128
_PREDICT_IMAGES = 512


def seed_of(genotype: Genotype, seed: int) -> int:
    """A seed that depends on the architecture and the run's seed, never on the order of work."""
    return (int(genotype.plain().key[:8], 16) + 1_000_003 * seed) % 2**31


class Factory:
    """Makes networks and files of one study; made once a process and reused.

    `folder` is the run's and must be reachable here: a teacher lies in it.
    """

    def __init__(self, config: StudyConfig, folder: Path, gate: Gate, plugins: Plugins) -> None:
        self.config = config
        self.folder = folder
        self.gate = gate
        self.plugins = plugins
        self.assembly: Assembly = assemble(config, plugins)
        self.calibration, self._calibration_labels = self._calibration()
        self._teacher: nn.Module | None = None

    def with_estimator(self, estimator: Estimator) -> Factory:
        """The same factory, with accuracy known another way."""
        other = copy.copy(self)
        other.assembly = replace(self.assembly, estimator=estimator)
        return other

    def build(self, genotype: Genotype) -> nn.Module:
        """The plain network with weights drawn from its own seed; raises BuildError."""
        channels, size, _ = self.assembly.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(genotype, self.config.run.seed))
            try:
                return self.assembly.space.build(
                    genotype.architecture,
                    classes=len(self.assembly.dataset.classes),
                    in_channels=channels,
                    image_size=size,
                )
            except CandidateError:
                raise
            except Exception as error:
                text = f"{genotype.space} cannot build {genotype.key}: {error!r}"
                raise BuildError(text) from error

    def macs(self, genotype: Genotype) -> float:
        """Multiply-adds of the plain network for one image; raises BuildError."""
        subject = Subject(genotype, self.build(genotype).eval(), self.assembly.shape)
        return float(self.plugins.create("objective", "macs", {}).measure(subject))

    def preview(self, genotype: Genotype) -> nn.Module:
        """The network in its final shape, pruned but untrained."""
        return self._compress(self.build(genotype), genotype, self.context(genotype))

    def compress(self, network: nn.Module, genotype: Genotype, epochs: int) -> nn.Module:
        """Prune and the like, retraining with the candidate's own loss for a share of `epochs`."""
        return self._compress(network, genotype, self.context(genotype, epochs))

    def compile(
        self, network: nn.Module, genotype: Genotype, path: Path, *, trained: bool, final: bool
    ) -> list[Artifact]:
        """The exported file, then each file that a compressor made of the one before.

        Export and calibration are work on this machine too, so the gate is held.
        """
        context = self.context(genotype, self.config.train.epochs if trained else 0)
        with self.gate.shared():
            example = torch.zeros(1, *self.assembly.shape)
            artifacts = [self.assembly.device.compile(network, example, path, final=final)]
            for compressor, choices in self.assembly.active(ArtifactCompressor, genotype):
                artifacts.append(compressor.transform(artifacts[-1], choices, context))
        return artifacts

    def predict(self, artifact: Artifact, split: Split) -> np.ndarray:
        """Logits (N, classes) of a split from the file itself, run by its own runtime."""
        pixels = self.assembly.dataset.split(split).pixels
        logits = []
        for start in range(0, len(pixels), _PREDICT_IMAGES):
            batch = normalise(pixels[start : start + _PREDICT_IMAGES], self.assembly.dataset)
            with self.gate.shared():
                logits.append(self.assembly.device.predict(artifact, np.asarray(batch)))
        return np.concatenate(logits)

    def accuracy(self, logits: np.ndarray, split: Split) -> float:
        """The share of a split that logits (N, classes) get right."""
        return float((logits.argmax(1) == self.assembly.dataset.split(split).labels).mean())

    def loss(self, genotype: Genotype) -> Loss | None:
        """The candidate's own training loss, if a compressor changes it."""
        loss = None
        for compressor, choices in self.assembly.active(TrainingCompressor, genotype):
            context = replace(self.context(genotype), teacher=self.teacher())
            loss = compressor.loss(choices, context)
        return loss

    def teacher(self) -> nn.Module | None:
        """The given teacher, or the one this run trained; None where there is neither."""
        folder = Path(self.config.teacher) if self.config.teacher else self.folder / "teacher"
        if self._teacher is None and folder.is_dir():
            self._teacher = rebuild(folder, self.plugins).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._teacher

    def estimation(self, genotype: Genotype | None = None) -> EstimationContext:
        """What the estimator may use, for one candidate or for what all of them share."""
        seed = self.config.run.seed
        return EstimationContext(
            space=self.assembly.space,
            dataset=self.assembly.dataset,
            train=self.config.train,
            weights=self.folder / "weights",
            seed=seed_of(genotype, seed) if genotype else seed,
            loss=self.loss(genotype) if genotype else None,
        )

    def batch(self) -> tuple[np.ndarray, np.ndarray]:
        """The calibration images, normalised, and their labels; the same in every process."""
        return self.calibration, self._calibration_labels

    def context(self, genotype: Genotype, epochs: int = 0) -> CompressionContext:
        """What compressors may use; without `epochs` it is a preview, which never trains."""
        return CompressionContext(
            space=self.assembly.space,
            device=self.assembly.device,
            calibration=self.calibration,
            seed=seed_of(genotype, self.config.run.seed),
            retrain=self._retrainer(genotype, epochs) if epochs else None,
        )

    def _retrainer(self, genotype: Genotype, epochs: int) -> Callable[[nn.Module, float], None]:
        def retrain(network: nn.Module, share: float) -> None:
            run = TrainRun(
                epochs=max(1, round(share * epochs)),
                seed=seed_of(genotype, self.config.run.seed) + 1,
                loss=self.loss(genotype),
                gate=self.gate,
                warm=True,
            )
            train(network, self.assembly.dataset, self.config.train, run)

        return retrain

    def _compress(
        self, network: nn.Module, genotype: Genotype, context: CompressionContext
    ) -> nn.Module:
        for compressor, choices in self.assembly.active(NetworkCompressor, genotype):
            network = compressor.compress(network, choices, context)
        return network.eval()

    def _calibration(self) -> tuple[np.ndarray, np.ndarray]:
        """A few training images that are the same in every process, and their labels."""
        images = self.assembly.dataset.split("train")
        order = np.random.default_rng(0).permutation(len(images.pixels))
        chosen = np.sort(order[:_CALIBRATION_IMAGES])
        pixels = np.asarray(normalise(images.pixels[chosen], self.assembly.dataset))
        return pixels, np.asarray(images.labels[chosen]).astype(np.int64)
