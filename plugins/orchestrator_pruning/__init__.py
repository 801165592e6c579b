"""Pruning: channels, attention heads, residual blocks and single weights go."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors"]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """Four kinds; the first is what is mostly meant."""
    return [
        Offer(
            name="pruning",
            target="orchestrator_pruning.channels:ChannelPruning",
            summary="removes channels, by magnitude, Taylor or geometric median, then trains on",
            needs=("torch-pruning",),
        ),
        Offer(
            name="head_pruning",
            target="orchestrator_pruning.heads:HeadPruning",
            summary="leaves attention heads out whole, then trains on",
        ),
        Offer(
            name="block_pruning",
            target="orchestrator_pruning.blocks:BlockPruning",
            summary="leaves residual blocks out whole, then trains on",
        ),
        Offer(
            name="weight_pruning",
            target="orchestrator_pruning.weights:WeightPruning",
            summary="sets single weights to 0, or N:M, which shrinks only what is packed",
        ),
    ]
