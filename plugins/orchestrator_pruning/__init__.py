"""Structured pruning: channels are really removed."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_compressors"]


@hookimpl
def orchestrator_compressors() -> list[Offer]:
    """Channel pruning with Torch-Pruning."""
    return [
        Offer(
            name="pruning",
            target="orchestrator_pruning.channels:ChannelPruning",
            summary="removes the same share of channels from every layer, then trains on",
            needs=("torch-pruning",),
        )
    ]
