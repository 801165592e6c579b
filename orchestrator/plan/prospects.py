"""What is said of a search before it begins: what promises nothing, and what may surprise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.analysis.health import Finding, few_images, no_learning, small_space
from orchestrator.candidate.assembly import Assembly
from orchestrator.candidate.factory import Factory
from orchestrator.contracts import ArtifactCompressor
from orchestrator.data import DataSummary
from orchestrator.errors import plural
from orchestrator.plan.image_sides import small_images
from orchestrator.plan.survey import Specimen
from orchestrator.pretrained.listing import TRAINED
from orchestrator.pretrained.prospect import Prospect
from orchestrator.pretrained.settling import adapts, each_channel
from orchestrator.records import Genotype
from orchestrator.training.epochs import losses_of_a_batch

__all__ = ["noted", "unpromising"]

# Means and deviations of pixels in [0, 1] between which weights tell no difference.
_ALIKE = 0.02


def unpromising(factory: Factory, size: float, genotype: Genotype, data: DataSummary) -> list[str]:
    """Sentences on what will not do, with what to do; a few steps of that network are paid."""
    config = factory.config
    losses = losses_of_a_batch(factory.build(genotype), factory.footing, config.train)
    named = data.by_class.items()
    counts = {split: dict(zip(data.classes, images, strict=True)) for split, images in named}
    found: list[Finding | None] = [
        small_space(size, config.budget.candidates),
        few_images(counts),
        no_learning(losses, config.train.learning_rate),
    ]
    return [finding.sentence for finding in found if finding is not None]


def noted(
    factory: Factory, specimens: Sequence[Specimen], start: Prospect | None, data: DataSummary
) -> list[str]:
    """What of the search may surprise whoever asked for it."""
    size, trained = factory.assembly.facts.image_size, factory.config.weights is not None
    small = small_images([item.sides for item in specimens], size, trained=trained)
    told = [*(start.warnings if start else ()), *data.warnings]
    told += [*factory.assembly.dataset.notes, *factory.notes]
    if start:
        told += _normalised(start, factory.assembly)
    more = [*_drawn(factory.assembly), *_trained_first(factory), *small]
    return [*told, *more, *_counted(factory, specimens)]


def _normalised(start: Prospect, assembly: Assembly) -> list[str]:
    """That images reach the network otherwise than those that its weights were trained with."""
    facts, usual = assembly.facts, (start.mean, start.deviation)
    if not start.mean:
        return []
    wanted = [each_channel(values, facts.in_channels) for values in usual]
    if np.allclose(wanted, (facts.mean, facts.deviation), atol=_ALIKE):
        return []
    told = [", ".join(f"{value:.3g}" for value in values) for values in (*wanted, facts.mean)]
    return [
        f"weights={start.name}: trained with images of mean {told[0]} and deviation {told[1]}, "
        f"dataset {assembly.dataset.name} takes off a mean of {told[2]}, so they are worth less. "
        "dataset.normalise=auto takes theirs, where a dataset has it; one of your own is told "
        "them if its constructor has an argument trained_with."
    ]


def _counted(factory: Factory, specimens: Sequence[Specimen]) -> list[str]:
    """That every static objective costs a build, where networks cannot be counted in outline."""
    if factory.assembly.tier("static"):
        factory.static(specimens[0].genotype)
    obstacle = factory.static_values.obstacle
    return [f"networks are built to be counted, as {obstacle}."] if obstacle else []


def _drawn(assembly: Assembly) -> list[str]:
    """Which changes of a file are drawn for each training, as there are too many to make all."""
    found = assembly.compression
    names = [n for n in found.drawn if isinstance(found.compressors[n], ArtifactCompressor)]
    return [
        f"compressor {name} has more settings than are all made of each training: one is drawn, "
        "and made beside the file without it."
        for name in names
    ]


def _trained_first(factory: Factory) -> list[str]:
    config = factory.config
    if not adapts(config):
        return []
    who = "the largest named network" if config.weights == TRAINED else "the weights' own network"
    epochs = plural(config.train.taught_epochs, "epoch")
    return [
        f"weights={config.weights}: {who} is trained first, for {epochs}; all others start from "
        "what it learnt."
    ]
