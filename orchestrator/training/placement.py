"""Choosing where networks are trained, and taking them there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from orchestrator.config import TrainConfig
from orchestrator.contracts import Placement
from orchestrator.training.optimisation import tensors

__all__ = ["choose_placement", "device_of", "layout_of", "placed"]


def choose_placement(config: TrainConfig) -> Placement:
    """A GPU where there is one, in half precision unless the recipe says otherwise."""
    if not torch.cuda.is_available():
        return Placement()
    if config.mixed_precision == "off":
        return Placement("cuda")
    return Placement("cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16")


def layout_of(placement: Placement) -> torch.memory_format:
    """The memory format that a placement names."""
    found: torch.memory_format = getattr(torch, placement.memory_format)
    return found


def device_of(network: nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(tensors(network), torch.empty(0)).device


@contextmanager
def placed(network: nn.Module, placement: Placement) -> Iterator[None]:
    """The network on the device that computes, in the memory layout that is fastest there.

    Afterwards everything is as it came, whatever happened: exporters and files expect it so.
    """
    home = device_of(network)
    network.to(device=placement.device, memory_format=layout_of(placement))  # type: ignore[call-overload]
    try:
        yield
    finally:
        network.to(device=home, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for parameter in network.parameters():
            parameter.grad = None
