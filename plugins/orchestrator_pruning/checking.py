"""A network that lost something is run once, so that what fails is named."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from orchestrator import CompressionContext, evaluated
from orchestrator.errors import CompressionError

__all__ = ["check_forward", "example"]


def check_forward(network: nn.Module, images: Tensor) -> None:
    """Raise CompressionError, naming the layer, unless the logits exist and are finite."""
    inside: list[str] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: inside.append(name)

    def leave(*_: object) -> None:
        inside.pop()

    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(enter(name or "the network itself")))
        hooks.append(module.register_forward_hook(leave))
    try:
        with torch.no_grad(), evaluated(network):
            logits = network(images)
    except Exception as error:
        raise CompressionError(
            f"after pruning, {inside[-1]} fails: {error}. Its space should name it, or the layers "
            "that feed it, in fixed_layers."
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not bool(torch.isfinite(logits).all()):
        raise CompressionError("after pruning, the logits are not finite.")


def example(network: nn.Module, context: CompressionContext) -> Tensor:
    """(1, C, H, W): the first calibration image, where the network is."""
    if not len(context.calibration):
        raise CompressionError("pruning needs one calibration image to trace with; found none.")
    first = next(network.parameters())
    return torch.from_numpy(context.calibration[:1].copy()).to(first)
