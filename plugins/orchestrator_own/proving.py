"""Proof by running: what a change is said to be is tried on a copy of the network."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from orchestrator.errors import plural
from orchestrator_own.widths import Slot, Width, narrow

__all__ = ["Proof"]

# Of the largest logit: sums in another order differ by less.
_CLOSE = 1e-3


class Proof:
    """A network with random weights, in eval mode, and what it answers to some images.

    `images` are (B, C, H, W); the network is a copy, and stays as it is.
    """

    def __init__(self, network: nn.Module, images: Tensor, seed: int = 0) -> None:
        self.network = scattered(copy.deepcopy(network).eval(), seed)
        self.images = images
        self.logits = self.answer(self.network)

    @torch.no_grad()
    def answer(self, network: nn.Module) -> Tensor:
        """(B, classes)."""
        logits: Tensor = network(self.images)
        return logits

    def failure(self, changed: nn.Module) -> str | None:
        """Why a changed network is no classifier of the same images; None if it is one."""
        try:
            logits = self.answer(changed.eval())
        except Exception as error:
            return f"{type(error).__name__}: {_first_line(error)}"
        if logits.shape != self.logits.shape:
            return f"the answer has shape {tuple(logits.shape)}"
        return None if bool(torch.isfinite(logits).all()) else "the answer is not finite"

    def of_width(self, width: Width) -> str | None:
        """Why channels of a width cannot be searched; None if they can.

        They may change places among themselves and the answers stay, so each layer is known that
        has them; and the fewest of them give a network that runs.
        """
        other = copy.deepcopy(self.network)
        try:
            _reverse(other, width)
            same = self.answer(other)
        except Exception as error:
            return f"its channels cannot change places ({_first_line(error)})"
        far = float((same - self.logits).abs().max())
        if not far <= _CLOSE * float(self.logits.abs().max()):
            return "its channels have places that count: changing them changes the answer"
        other, least = copy.deepcopy(self.network), width.totals[0]
        try:
            narrow(other, [(width, least)])
        except Exception as error:
            return f"with {plural(least, 'channel')}: {_first_line(error)}"
        told = self.failure(other)
        return f"with {plural(least, 'channel')} it does not run ({told})" if told else None


def scattered(network: nn.Module, seed: int) -> nn.Module:
    """With random parameters and statistics, in place, none of which is 0 or like another."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = dict(network.named_parameters())
    tensors.update({n: b for n, b in network.named_buffers() if b.is_floating_point()})
    with torch.no_grad():
        for name, tensor in tensors.items():
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                tensor.add_(noise.abs())
            elif name in dict(network.named_parameters()) or name.endswith("running_mean"):
                spread = 0.1 if tensor.dim() < 2 else 0.5 * float(tensor.std(correction=0)) or 0.02
                tensor.add_(spread * noise)
    return network


@torch.no_grad()
def _reverse(network: nn.Module, width: Width) -> None:
    """The last channel, or the last head, first."""
    unit = max([heads.size for heads in width.heads], default=1)
    order, start = list[int](), 0
    for size in width.sizes:
        places = range(start, start + size)
        blocks = [list(places[at : at + unit]) for at in range(0, size, unit)]
        order += [channel for block in reversed(blocks) for channel in block]
        start += size
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for slot in width.slots:
        index = torch.tensor(_moved(slot, order))
        tensor = tensors[slot.tensor]
        tensor.copy_(tensor.index_select(slot.dimension, index))


def _moved(slot: Slot, order: Sequence[int]) -> list[int]:
    """Entry by entry, which one comes there when channel r takes the place of order[r]."""
    places: dict[int, list[int]] = {}
    for entry, root in enumerate(slot.roots):
        places.setdefault(root, []).append(entry)
    moved = list(range(len(slot.roots)))
    for root, entries in places.items():
        if root >= 0:
            for entry, source in zip(entries, places[order[root]], strict=True):
                moved[entry] = source
    return moved


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [repr(error)])[0][:120]
