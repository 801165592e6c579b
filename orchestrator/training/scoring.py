"""What a network's answers are worth, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator.contracts import Judge, Split
from orchestrator.measuring.gate import held
from orchestrator.training.footing import Footing
from orchestrator.training.placement import layout_of

__all__ = ["answers", "leading_figure", "score"]

# Larger batches are slower on a CPU: allocations above 32 MiB are mapped anew for every layer.
_CPU_BATCH = 64
_GPU_BATCH = 1024


def score(network: nn.Module, footing: Footing, split: Split) -> Judge:
    """The judge of a task, having seen a network's answers to a whole split."""
    judge = footing.task.judge(footing.facts)
    for found, targets in answers(network, footing, split):
        judge.add(found, targets)
    return judge


def leading_figure(network: nn.Module, footing: Footing, split: Split = "validation") -> float:
    """The leading metric of a task on a split."""
    return float(score(network, footing, split).figures()[footing.task.leading.name])


def answers(network: nn.Module, footing: Footing, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    """A network's answers float32 (B, …) and the targets, in the order of the split.

    The network must be where `footing` computes; its mode is left as it was.
    """
    feed, placement = footing.feed(split), footing.placement
    size = _CPU_BATCH if placement.device == "cpu" else _GPU_BATCH
    order = (np.arange(start, min(start + size, len(feed))) for start in range(0, len(feed), size))
    was_training = network.training
    network.eval()
    try:
        for take in feed.batches(order):
            # Not inference_mode: what a network caches in forward must stay usable in training.
            with held(footing.gate), torch.no_grad():
                pixels, targets = take()
                pixels = pixels.contiguous(memory_format=layout_of(placement))
                found = network(footing.facts.normalise(pixels)).float()
            yield found, targets
    finally:
        network.train(was_training)
