"""Judging a network whose weights are shared: batch norm's statistics first, then its figure.

Running statistics are no shared weights: they belong to one architecture, and with another's or
none the figure is that of guessing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from orchestrator.measuring.gate import held
from orchestrator.training.footing import Footing
from orchestrator.training.placement import layout_of
from orchestrator.training.scoring import leading_figure
from orchestrator.training.statistics import gathering_statistics

__all__ = ["inherited_figure", "recalibrate"]

_BATCH = 256


def recalibrate(network: nn.Module, footing: Footing, *, images: int, seed: int = 0) -> None:
    """Set batch norm's statistics to those of some training images, without augmentation.

    Nothing to do for a network without batch norm. Cost: a forward pass of `images`.
    """
    feed, layout = footing.feed("train"), layout_of(footing.placement)
    chosen = np.random.default_rng(seed).permutation(len(feed))[:images]
    order = np.array_split(chosen, max(1, round(len(chosen) / _BATCH)))
    with gathering_statistics(network) as any_there:
        for take in feed.batches(order) if any_there else ():
            with torch.no_grad(), held(footing.gate):
                pixels = take()[0].contiguous(memory_format=layout)
                network(footing.facts.normalise(pixels))
    network.eval()


def inherited_figure(network: nn.Module, footing: Footing, *, images: int) -> float:
    """The leading metric on validation with the weights as they are, after recalibration.

    The network must be where `footing` computes.
    """
    recalibrate(network, footing, images=images)
    return leading_figure(network, footing)
