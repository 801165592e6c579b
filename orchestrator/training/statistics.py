"""Batch norm's running statistics made anew, as they no longer fit weights that were changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from orchestrator.training.modes import evaluated

__all__ = ["gathering_statistics", "settle_statistics"]

_BATCH = 64


def settle_statistics(network: nn.Module, images: Tensor) -> None:
    """Set batch norm's running statistics to those of `images`, normalised, (N, C, H, W).

    Everything else stays as it is, modes too. Nothing happens in a network without batch norm.
    Cost: a forward pass.
    """
    with gathering_statistics(network) as any_there, torch.no_grad():
        # At least two images in a batch: one has no statistics where maps are a single place.
        for batch in images.tensor_split(max(1, len(images) // _BATCH)) if any_there else ():
            network(batch)


@contextmanager
def gathering_statistics(network: nn.Module) -> Iterator[bool]:
    """Inside, forward passes make the statistics anew, a plain mean over batches.

    The network is in eval mode but for that; modes and momenta are as before afterwards. False
    where the network has no batch norm that keeps statistics.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    with evaluated(network):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over batches
            norm.train()
        try:
            yield bool(norms)
        finally:
            network.eval()
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
