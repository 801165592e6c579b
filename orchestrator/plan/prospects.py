"""What is wrong with a search before it begins: a space, a split, a step that promise nothing."""

from __future__ import annotations

import numpy as np

from orchestrator.analysis.health import Finding, few_images, no_learning, small_space
from orchestrator.candidate.factory import Factory
from orchestrator.contracts import Split, samples_of
from orchestrator.records import Genotype
from orchestrator.training.epochs import losses_of_a_batch

__all__ = ["images_by_class", "unpromising"]

_JUDGED: tuple[Split, ...] = ("validation", "test")


def unpromising(factory: Factory, size: float, genotype: Genotype) -> list[str]:
    """Sentences on what will not do, with what to do; a few steps of that network are paid."""
    config = factory.config
    losses = losses_of_a_batch(factory.build(genotype), factory.footing, config.train)
    found: list[Finding | None] = [
        small_space(size, config.budget.candidates),
        few_images({split: images_by_class(factory, split) for split in _JUDGED}),
        no_learning(losses, config.train.learning_rate),
    ]
    return [finding.sentence for finding in found if finding is not None]


def images_by_class(factory: Factory, split: Split) -> dict[str, int]:
    """How many images of a split each class has; empty where that cannot be known unread."""
    targets = getattr(samples_of(factory.assembly.dataset, split), "targets", None)
    if targets is None or np.ndim(targets) != 1:
        return {}
    classes = factory.assembly.facts.classes
    counts = np.bincount(np.asarray(targets), minlength=len(classes)).tolist()
    return dict(zip(classes, counts, strict=True))
