"""ZiCo: how large the first gradients are compared with how much they differ between batches.

G. Li, Y. Yang, K. Bhardwaj, R. Marculescu 2023, "ZiCo: Zero-shot NAS via Inverse Coefficient of
Variation on Gradients", arXiv:2301.11300; code: github.com/SLDGroup/ZiCo.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import Objective, Subject
from orchestrator.errors import CandidateError, ConfigError, plural
from orchestrator_proxies.images import training_images
from orchestrator_proxies.untrained import WEIGHTED, untrained

__all__ = ["Zico"]

# What masks hold where nothing counts.
_IGNORED = 255


class Zico(Objective):
    """Σ over layers of log Σ over weights of mean |g| / deviation of g, g a batch's gradient.

    Layers are convolutions and linear layers; a weight whose gradient never changes is left out,
    and so is a layer of such weights. As in the authors' code the deviation is that of the
    gradient itself, where the paper writes that of its absolute value. Cross-entropy, batch norm
    with the batch's statistics, dropout off. Cost: 64 images forward and backward.
    """

    name = "zico"
    unit = "score"
    direction = "maximize"
    tier = "static"
    summary: ClassVar[str] = "zero-cost proxy: steadiness of the first gradients (ZiCo)"

    def __init__(self, *, batches: int = 4, images: int = 16) -> None:
        for key, found in (("batches", batches), ("images", images)):
            if found < 2:
                raise ConfigError(f"objective.zico.{key}: found {found}, expected at least 2.")
        self.batches = batches
        self.training_images = batches * images

    def measure(self, subject: Subject) -> float:
        """The score; raises CandidateError without images or gradients that differ."""
        images, labels = training_images(subject, self.training_images, self.name)
        count = min(self.batches, len(images) // 2)
        if count < 2:
            raise CandidateError(
                f"zico got {plural(len(images), 'training image')}, expected at least 4: two "
                "batches of two."
            )
        batches = zip(images.tensor_split(count), labels.tensor_split(count), strict=True)
        with untrained(subject.network, "he") as network:
            gradients = (_gradients(network, *batch) for batch in batches)
            layers = [math.log(s) for s in _steadiness(gradients) if math.isfinite(s) and s > 0]
        if not layers:
            raise CandidateError(
                "zico found no layer whose gradient differs from batch to batch, so there is "
                "nothing to compare. Use another proxy for this network."
            )
        return math.fsum(layers)


def _gradients(network: nn.Module, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Those of the weights of all convolutions and linear layers that take part."""
    weights = {id(m.weight): m.weight for m in network.modules() if isinstance(m, WEIGHTED)}
    with torch.enable_grad():
        loss = _loss(network(images), labels)
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


def _loss(answer: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with classes (B,), or of maps at the size of masks (B, H, W)."""
    if labels.dim() > 1:
        answer = functional.interpolate(answer, labels.shape[-2:], mode="bilinear")
    return functional.cross_entropy(answer, labels, ignore_index=_IGNORED)


def _steadiness(gradients: Iterator[list[Tensor]]) -> list[float]:
    """Σ mean |g| / deviation of g for each layer, batch by batch after Welford."""
    first = next(gradients)
    means = [g.clone() for g in first]
    sizes = [g.abs() for g in first]
    squares = [torch.zeros_like(g) for g in first]
    count = 1
    for batch in gradients:
        count += 1
        for g, mean, size, square in zip(batch, means, sizes, squares, strict=True):
            step = g - mean
            mean.add_(step / count)
            square.add_(step * (g - mean))
            size.add_(g.abs())
    ratios = []
    for size, square in zip(sizes, squares, strict=True):
        moving = square > 0
        deviation = (square[moving] / count).sqrt()
        ratios.append(float((size[moving] / count / deviation).sum(dtype=torch.float64)))
    return ratios
