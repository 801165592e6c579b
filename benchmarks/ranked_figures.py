"""The figures of an architecture that `rank_quality` holds against each other, and how each is got.

A job is the work of one process; what it returns is plain numbers.
"""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from trained_start import FINE_TUNED, IMAGE_SIZE, begun, prepared

from orchestrator import Dataset, Genotype, SearchSpace, Subject
from orchestrator.config import TrainConfig
from orchestrator.errors import CandidateError, TrainingError
from orchestrator.estimators.probe import ProbeEstimator
from orchestrator.estimators.supernet import SupernetEstimator
from orchestrator.plugins import installed
from orchestrator.pretrained.starting import StartingWeights
from orchestrator.search.cluster import WORKER_ENV
from orchestrator.supernet.judging import inherited_figure
from orchestrator.supernet.store import Store
from orchestrator.training.building import build_network
from orchestrator.training.calibration import Calibration
from orchestrator.training.epochs import TrainRun, train
from orchestrator.training.estimation import estimation_context
from orchestrator.training.footing import Footing
from orchestrator.training.scoring import leading_figure

STATIC = ("naswot", "synflow", "zen", "zico", "params", "macs")
IMAGES = 128
RECALIBRATION = 1024


@dataclass(frozen=True)
class Setting:
    """What the figures depend on, beside the architecture."""

    data: str | None
    per_class: int
    epochs: int
    shared_epochs: int
    seed: int
    weights: str | None = None

    @property
    def dataset(self) -> Dataset:
        """Read once a process; of a family the weights' own normalisation is used (`of`)."""
        return _dataset(self.data, self.per_class)

    def of(self, family: str) -> tuple[SearchSpace, Dataset]:
        """The family's space and the images as its weights want them."""
        return _parts(family, self)

    @property
    def config(self) -> TrainConfig:
        """That of what inherits, where there are weights."""
        return replace(self.from_noise, **FINE_TUNED) if self.weights else self.from_noise

    @property
    def from_noise(self) -> TrainConfig:
        """Photographs get larger batches and wider crops than digits."""
        if self.data is None:
            return TrainConfig(epochs=self.epochs)
        return TrainConfig(epochs=self.epochs, batch_size=64, crop_padding=4)

    def facts(self) -> dict[str, Any]:
        """Those that tell whether kept figures may be used; a folder by what is in it."""
        dataset = self.dataset
        counts = {split: len(dataset.split(split)) for split in ("train", "test")}
        own = {"data": dataset.name, "classes": list(dataset.classes), "images": counts}
        told = {**asdict(self), **own, **(FINE_TUNED if self.weights else {})}
        return told if self.weights else {k: v for k, v in told.items() if k != "weights"}


@dataclass(frozen=True)
class Job:
    """Work for one process; `kind` is static, own, shared, inherited, probe, epoch or scratch."""

    kind: str
    family: str
    genotypes: tuple[Genotype, ...]
    setting: Setting
    folder: Path

    @property
    def start(self) -> StartingWeights | None:
        """What networks inherit; None without weights."""
        space, dataset = self.setting.of(self.family)
        return begun(self.folder / self.family, space, dataset, self.setting.weights)

    def run(self) -> dict[str, Any]:
        """Figures by key of the architecture; of shared weights facts by family."""
        warnings.simplefilter("ignore")
        os.environ.update(WORKER_ENV)
        torch.set_num_threads(1)
        if self.kind == "shared":
            return {self.family: _train_shared(self)}
        measure = {
            "static": _static,
            "own": _own,
            "inherited": _inherited,
            "probe": _probe,
            "epoch": _epoch,
            "scratch": _scratch,
        }[self.kind]
        return {genotype.key: measure(genotype, self) for genotype in self.genotypes}


def _static(genotype: Genotype, job: Job) -> dict[str, float | None]:
    """Each proxy's score, None where it has none, and its CPU seconds."""
    network = _built(genotype, job)
    shape = job.setting.of(job.family)[1].facts.shape
    subject = Subject(genotype, network, shape, batch=lambda: _images(job.family, job.setting))
    found: dict[str, float | None] = {}
    for name in STATIC:
        start = time.process_time()
        try:
            found[name] = float(installed().create("objective", name, {}).measure(subject))
        except CandidateError:
            found[name] = None
        found[f"{name} s"] = time.process_time() - start
    return found


def _own(genotype: Genotype, job: Job) -> dict[str, float | None]:
    """The truth, and what was known on the way."""
    setting, network = job.setting, _built(genotype, job)
    start = time.process_time()
    run = TrainRun(epochs=setting.epochs, seed=setting.seed)
    try:
        curve = train(network, _footing(job.family, setting), setting.config, run).curve
    except TrainingError:
        return {"truth": None}
    seconds = time.process_time() - start
    half = max(1, setting.epochs // 2)
    return {
        "truth": leading_figure(network, _footing(job.family, setting), "test"),
        "validation": curve[-1],
        "validation s": seconds,
        "half of training": curve[half - 1],
        "half of training s": seconds * half / setting.epochs,
    }


def _epoch(genotype: Genotype, job: Job) -> dict[str, float | None]:
    """One epoch from inherited weights, its rate falling to 0 as any training's."""
    return _trained("one epoch", _built(genotype, job), job, replace(job.setting.config, epochs=1))


def _scratch(genotype: Genotype, job: Job) -> dict[str, float | None]:
    return _trained("from scratch", _drawn_network(genotype, job), job, job.setting.from_noise)


def _trained(
    name: str, network: nn.Module, job: Job, config: TrainConfig
) -> dict[str, float | None]:
    start, setting = time.process_time(), job.setting
    run = TrainRun(epochs=config.epochs, seed=setting.seed)
    try:
        curve = train(network, _footing(job.family, setting), config, run).curve
    except TrainingError:
        return {name: None}
    return {name: curve[-1], f"{name} s": time.process_time() - start}


def _probe(genotype: Genotype, job: Job) -> dict[str, float | None]:
    setting, network = job.setting, _built(genotype, job)
    space = setting.of(job.family)[0]
    context = estimation_context(
        _footing(job.family, setting), space, setting.config, job.folder, seed=setting.seed
    )
    start = time.process_time()
    accuracy = ProbeEstimator().estimate(network, genotype, context).curve[-1]
    return {"probe": accuracy, "probe s": time.process_time() - start}


def _inherited(genotype: Genotype, job: Job) -> dict[str, float | None]:
    setting, network = job.setting, _built(genotype, job)
    start = time.process_time()
    space = setting.of(job.family)[0]
    store, _ = Store.load(space, job.folder / job.family / "supernet.safetensors")
    store.inherit(network)
    footing = _footing(job.family, setting)
    accuracy = inherited_figure(network, footing, images=RECALIBRATION)
    return {"inherited": accuracy, "inherited s": time.process_time() - start}


def _train_shared(job: Job) -> dict[str, Any]:
    """What the estimator says of the weights, which lie in the folder, and its CPU seconds."""
    setting, folder = job.setting, job.folder / job.family
    folder.mkdir(parents=True, exist_ok=True)
    footing, space = _footing(job.family, setting), setting.of(job.family)[0]
    context = estimation_context(
        footing, space, setting.config, folder, seed=setting.seed, start=job.start
    )
    start = time.process_time()
    sentences = SupernetEstimator(epochs=setting.shared_epochs).prepare(context)
    return {"sentence": " ".join(sentences), "seconds": time.process_time() - start}


@lru_cache(maxsize=1)
def _dataset(data: str | None, per_class: int) -> Dataset:
    options = {"root": data, "per_class": per_class, "image_size": 32}
    made: Dataset = (
        installed().create("dataset", "image_folder", options)
        if data
        else installed().create("dataset", "digits", {})
    )
    return made


@lru_cache(maxsize=4)
def _images(family: str, setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Some training images as networks see them, and their labels, for the proxies."""
    return Calibration(setting.of(family)[1]).images(IMAGES)


@lru_cache(maxsize=4)
def _footing(family: str, setting: Setting) -> Footing:
    dataset = setting.of(family)[1]
    return Footing(installed().create("task", "classification", {}), dataset)


@lru_cache(maxsize=4)
def _parts(family: str, setting: Setting) -> tuple[SearchSpace, Dataset]:
    if setting.weights is None:
        return installed().create("space", family, {"preset": "small"}), setting.dataset
    data = {"root": setting.data, "per_class": setting.per_class, "image_size": IMAGE_SIZE}
    return prepared(family, setting.weights, data)


def _built(genotype: Genotype, job: Job) -> nn.Module:
    """With what it inherits, if anything."""
    network = _drawn_network(genotype, job)
    if job.start is not None:
        job.start.give(network)
    return network


def _drawn_network(genotype: Genotype, job: Job) -> nn.Module:
    space, dataset = job.setting.of(job.family)
    return build_network(space, genotype, dataset.facts, seed=job.setting.seed)
