"""Judging a network whose weights are shared: batch norm's statistics first, then accuracy.

Running statistics are no shared weights: they belong to one architecture, and with another's or
none the accuracy is that of guessing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from orchestrator.contracts import Dataset
from orchestrator.measuring.gate import Gate
from orchestrator.training.batches import Source
from orchestrator.training.epochs import evaluate

__all__ = ["inherited_accuracy", "recalibrate"]

_BATCH = 256


def recalibrate(network: nn.Module, dataset: Dataset, *, images: int, seed: int = 0) -> None:
    """Set batch norm's statistics to those of some training images, without augmentation.

    Nothing to do for a network without batch norm. Cost: a forward pass of `images`.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
        norm.train()
    source = Source(dataset, "train", torch.device("cpu"))
    chosen = np.random.default_rng(seed).permutation(len(source))[:images]
    with torch.no_grad():
        for batch in np.array_split(chosen, max(1, round(len(chosen) / _BATCH))):
            network(source.normalised(source.pixels(batch)))
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def inherited_accuracy(
    network: nn.Module, dataset: Dataset, *, images: int, gate: Gate | None = None
) -> float:
    """Validation accuracy in [0, 1] with the weights as they are, after recalibration."""
    recalibrate(network, dataset, images=images)
    return evaluate(network, dataset, "validation", gate=gate)
