"""One class for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from orchestrator import (
    Batch,
    Classes,
    ImageFacts,
    Judge,
    Metric,
    Outputs,
    Task,
    blend,
    boxes,
    crop,
    cut,
    erase,
    image_uri,
    jitter,
    mirror,
    soft_targets,
    vary,
)
from orchestrator_classification.judge import ClassJudge

if TYPE_CHECKING:
    import numpy as np

    from orchestrator import TrainConfig

__all__ = ["Classification"]


class Classification(Task):
    """Logits (B, classes) for images of one class each; targets are labels int64 (B,)."""

    name = "classification"
    weighs_classes = True
    metrics = (
        Metric("accuracy", of_images=True),
        Metric("top5", of_images=True),
        Metric("balanced_accuracy"),
    )

    def outputs(self, facts: ImageFacts) -> Outputs:
        """A logit for each class."""
        return Classes(len(facts.classes))

    def batch(
        self, batch: Batch, rng: np.random.Generator, recipe: TrainConfig
    ) -> tuple[Tensor, Tensor]:
        """Crops, mirrors, recolours, erases and mixes as the recipe says; targets (B, classes).

        With weights an image's targets add up to its class', so that its loss is weighted.
        """
        pixels = batch.pixels
        if recipe.crop_padding:
            pixels = crop(pixels, recipe.crop_padding, rng)
        if recipe.crop_area < 1:
            pixels = cut(pixels, boxes(len(pixels), recipe.crop_area, rng), batch.side)
        if batch.mirror:
            pixels = mirror(pixels, rng)
        if recipe.augment != "none":
            pixels = vary(pixels, recipe.augment, rng)
        if recipe.colour_jitter:
            pixels = jitter(pixels, recipe.colour_jitter, rng)
        images = batch.facts.normalise(pixels)
        if batch.side != images.shape[-1]:
            images = functional.interpolate(images, (batch.side, batch.side), mode="bilinear")
        if recipe.erasing:
            images = erase(images, recipe.erasing, rng)
        targets = soft_targets(batch.targets, len(batch.facts.classes), recipe.label_smoothing)
        if batch.weights is not None:
            targets = targets * batch.weights[batch.targets][:, None]
        return blend(images, targets, recipe, rng)

    def loss(self, answer: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes) with probabilities (B, classes)."""
        return functional.cross_entropy(answer, targets)

    def judge(self, facts: ImageFacts) -> Judge:
        """Counts right answers."""
        return ClassJudge(facts)

    def distance(self, first: Tensor, second: Tensor) -> float:
        """The share of images whose most likely class differs."""
        return float((first.argmax(1) != second.argmax(1)).double().mean())

    def wrongness(self, answers: Tensor, targets: Tensor) -> Tensor:
        """How sure it is of a class that is wrong: a probability, 0 where it is right."""
        sure, answered = answers.softmax(1).max(1)
        return sure * (answered != targets)

    def pictures(self, batch: Batch, answers: Tensor) -> list[dict[str, str]]:
        """Each image with what it is, what it was taken for, and how surely."""
        names = batch.facts.classes
        sure, answered = (found.tolist() for found in answers.softmax(1).max(1))
        truths = batch.targets.tolist()
        told = [
            f"{names[truth]}, taken for {names[answer]} ({100 * share:.0f}\u00a0%)"
            for truth, answer, share in zip(truths, answered, sure, strict=True)
        ]
        uris = [image_uri(pixels) for pixels in batch.pixels.cpu().numpy()]
        return [{text: uri} for text, uri in zip(told, uris, strict=True)]

    def chance(self, facts: ImageFacts) -> float:
        """Guessing among the classes."""
        return 1 / len(facts.classes)
