"""The user's own network: any torch classifier becomes a space of narrower and shallower ones."""

from __future__ import annotations

from orchestrator import Offer, hookimpl

__all__ = ["orchestrator_search_spaces"]


@hookimpl
def orchestrator_search_spaces() -> list[Offer]:
    """What a network of the user's own can become."""
    return [
        Offer(
            name="own",
            target="orchestrator_own.space:OwnNetwork",
            summary="a network of your own, made narrower, shallower and simpler",
            needs=("torch-pruning",),
        )
    ]
