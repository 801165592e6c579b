"""Networks of a space for images that only have sizes."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch_pruning
from torch import nn

from orchestrator import Classes, ImageFacts, SearchSpace


def fresh(
    space: SearchSpace,
    architecture: Any,
    *,
    classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> nn.Module:
    """An untrained classifier."""
    facts = ImageFacts.unnamed(image_size, in_channels=in_channels, classes=classes)
    return space.build(architecture, facts, Classes(classes))


def prune(network: torch.nn.Module, kept: list[torch.nn.Module]) -> None:
    """Half of the channels of a network for grey images of 32 px, but of layers that are `kept`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells which bare parameters it found
        torch_pruning.pruner.BasePruner(
            network,
            torch.zeros(1, 1, 32, 32),
            torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=0.5,
            ignored_layers=kept,
        ).step()
