"""What passes through each module of a network while it runs once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orchestrator import mixes_channels

__all__ = ["Passage", "first_layer", "last_layer", "watch"]


@dataclass
class Passage:
    """Calls of one module, in order; shapes of the last one, None for what is no single tensor."""

    calls: int = 0
    given: tuple[int, ...] | None = None
    returned: tuple[int, ...] | None = None

    @property
    def keeps_shape(self) -> bool:
        """Whether it was called once, for one tensor, and gave another of the same shape."""
        return self.calls == 1 and self.given is not None and self.given == self.returned


@torch.no_grad()
def watch(network: nn.Module, images: Tensor) -> dict[str, Passage]:
    """Module name → what passed, in the order in which they finished."""
    passages: dict[str, Passage] = {}
    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_hook(_noting(name, passages), with_kwargs=True))
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return passages


def _noting(name: str, passages: dict[str, Passage]) -> Callable[..., None]:
    def note(module: nn.Module, args: tuple[object, ...], kwargs: object, output: object) -> None:
        passage = passages.setdefault(name, Passage())
        passage.calls += 1
        given = args[0] if args else None
        passage.given = tuple(given.shape) if isinstance(given, Tensor) else None
        passage.returned = tuple(output.shape) if isinstance(output, Tensor) else None

    return note


def first_layer(network: nn.Module, passages: dict[str, Passage]) -> str | None:
    """The layer that reads the images."""
    return next((name for name in passages if mixes_channels(network.get_submodule(name))), None)


def last_layer(network: nn.Module, passages: dict[str, Passage]) -> str | None:
    """The layer that gives the logits."""
    return next((n for n in reversed(passages) if mixes_channels(network.get_submodule(n))), None)
