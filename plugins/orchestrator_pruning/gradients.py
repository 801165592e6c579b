"""What a loss would lose without a part of a network, to first order.

Molchanov et al. 2019, arXiv:1906.10771: the square of the sum of weight times gradient over the
weights of a part, a mean over batches of training images. For the scale and shift of a
normalisation that is the effect of closing a gate behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from orchestrator import CompressionContext, evaluated, labels_loss
from orchestrator.errors import CompressionError

__all__ = ["calibration_loss", "gate_effects", "gradients"]

_BATCH = 32


def gate_effects(network: nn.Module, context: CompressionContext) -> dict[nn.Module, Tensor]:
    """Layer → (outputs,): the effect of closing a gate behind each of its outputs.

    Cost: a forward and a backward pass of the calibration images.
    """
    effects: dict[nn.Module, Tensor] = {}
    for _ in gradients(network, context):
        for layer in network.modules():
            effect = _effect(layer)
            if effect is not None:
                effects[layer] = effects.get(layer, torch.zeros_like(effect)) + effect**2
    return effects


def gradients(network: nn.Module, context: CompressionContext) -> Iterator[None]:
    """Batch by batch, the gradients of the task's loss in `network`, which is in eval mode."""
    network.requires_grad_(True)
    with evaluated(network):
        for images, targets in _batches(network, context):
            network.zero_grad()
            with torch.enable_grad():
                loss = _loss(network(images), targets, context)
                torch.autograd.backward(loss)
            yield
    network.zero_grad()


@torch.no_grad()
def calibration_loss(network: nn.Module, context: CompressionContext) -> float:
    """The task's loss on the calibration images; cost: a forward pass of them."""
    total, seen = 0.0, 0
    with evaluated(network):
        for images, targets in _batches(network, context):
            total += float(_loss(network(images), targets, context)) * len(images)
            seen += len(images)
    return total / seen


def _batches(network: nn.Module, context: CompressionContext) -> Iterator[tuple[Tensor, Tensor]]:
    if context.targets is None:
        raise CompressionError(
            "criterion=taylor and spread=sensitivity need the calibration images' targets; found "
            "none. Give CompressionContext.targets, or choose criterion=magnitude."
        )
    where = next(network.parameters()).device
    images = torch.from_numpy(context.calibration).to(where)
    targets = torch.from_numpy(context.targets).to(where)
    for start in range(0, len(images), _BATCH):
        yield images[start : start + _BATCH], targets[start : start + _BATCH]


def _loss(answer: Tensor, targets: Tensor, context: CompressionContext) -> Tensor:
    """The task's own; targets are the dataset's."""
    if context.task is None:
        return labels_loss(answer, answer, targets)
    return context.task.loss(answer, targets)


def _effect(layer: nn.Module) -> Tensor | None:
    """(outputs,): Σ weight · gradient of each; None for what has no output of its own."""
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if not isinstance(weight, nn.Parameter) or weight.grad is None:
        return None
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return None  # outputs lie along another dimension
    effect = (weight * weight.grad).detach().flatten(1).sum(1) if weight.dim() > 1 else None
    if effect is None:
        effect = (weight * weight.grad).detach()
    if isinstance(bias, nn.Parameter) and bias.grad is not None and bias.shape == effect.shape:
        effect = effect + (bias * bias.grad).detach()
    return effect
