"""How weights move: optimiser, schedule, precision and averaging."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator.config import TrainConfig
from orchestrator.contracts import Placement
from orchestrator.training.layers import depths_of

__all__ = [
    "GRADIENT_NORM",
    "Average",
    "Precision",
    "optimizer_of",
    "schedule",
    "set_rate",
    "tensors",
]

# Gradients are cut to this norm: rarely reached, and it saves a badly scaled network.
GRADIENT_NORM = 5.0


class Precision:
    """Half precision where a placement says so; float16 with a scaled loss."""

    def __init__(self, placement: Placement) -> None:
        self.device = placement.device
        self.dtype: torch.dtype = getattr(torch, placement.dtype)
        scaled = self.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device, enabled=True) if scaled else None

    def autocast(self) -> AbstractContextManager[object]:
        """Around forward and loss."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device, self.dtype)

    def update(self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """One step of one loss."""
        self.backward(loss)
        self.step(network, optimizer)

    def backward(self, loss: Tensor) -> None:
        """Add gradients; those of float16 are scaled so that they do not vanish."""
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward()  # type: ignore[no-untyped-call]

    def step(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients that there are, and move the weights."""
        if self.scaler is None:
            nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
            optimizer.step()
            return
        self.scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        self.scaler.step(optimizer)
        self.scaler.update()


class Average:
    """Exponential moving average of weights and statistics (Polyak and Juditsky, 1992).

    The decay starts low, (1 + t) / (10 + t), so that a short training is not held back by its
    first random weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move a little towards `network`."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        pairs = list(zip(tensors(self.network), tensors(network), strict=True))
        smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([a for a, _ in smooth], [b for _, b in smooth], 1 - decay)
        for ours, theirs in pairs:
            if not ours.is_floating_point():
                ours.copy_(theirs)


def optimizer_of(
    network: nn.Module, config: TrainConfig, *, fused: bool = True
) -> torch.optim.Optimizer:
    """Norms and biases do not decay; with `layer_decay` early layers learn slower (`set_rate`).

    Fused updates cost half on a CPU, but take parameters to be dense in memory: views of larger
    tensors need the others.
    """
    groups = list(_groups(network, config))
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)
    momentum = config.momentum
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=fused
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the last layer of an `optimizer_of` learn at `rate`, those before it at their share."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_share"]


def _groups(network: nn.Module, config: TrainConfig) -> Iterator[dict[str, Any]]:
    """Parameters of one rate and one decay each."""
    found: dict[tuple[float, float], list[nn.Parameter]] = {(1.0, config.weight_decay): []}
    last, depths = depths_of(network) if config.layer_decay < 1 else (0, {})
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            free = parameter.ndim <= 1 or name.endswith("bias")
            share = config.layer_decay ** (last - depths.get(name, last))
            decay = 0.0 if free else config.weight_decay
            found.setdefault((share, decay), []).append(parameter)
    # Decayed ones first.
    for (share, decay), members in sorted(found.items(), reverse=True):
        yield {"params": members, "weight_decay": decay, "rate_share": share}


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """Linear warm-up, then half a cosine to 0; a share of the peak learning rate in (0, 1]."""
    warmup = round(warmup_share * steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * done))


def tensors(network: nn.Module) -> Iterator[Tensor]:
    """Parameters, then buffers, always in the same order."""
    yield from network.parameters()
    yield from network.buffers()
