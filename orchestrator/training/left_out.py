"""Blocks of a network that are left out."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

__all__ = ["LeftOut", "leave_out", "left_out"]


class LeftOut(nn.Module):
    """Where a block was: gives what it is given, whatever else it is told."""

    def forward(self, x: Tensor, *_: object, **__: object) -> Tensor:
        """(…) → (…)."""
        return x


def leave_out(network: nn.Module, blocks: Iterable[str]) -> None:
    """Without these blocks, in place; a bundle remembers them and `rebuild` leaves them out too."""
    for name in blocks:
        network.set_submodule(name, LeftOut())


def left_out(network: nn.Module) -> list[str]:
    """The names of blocks that `leave_out` took, in order."""
    return [name for name, module in network.named_modules() if isinstance(module, LeftOut)]
