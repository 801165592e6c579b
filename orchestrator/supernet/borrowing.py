"""Networks that borrow their parameters from a store instead of owning them.

A borrowed network is the plain module that its space built. Its parameters are views of the
store's tensors, so forward, backward and optimiser steps are the plain module's own and leave
everything else of the store alone. Only where a part is no slice does a network work on a copy,
fetched before a step and written back after it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from orchestrator.contracts import ImageFacts, Start, Task
from orchestrator.records import Genotype
from orchestrator.supernet.regions import Region
from orchestrator.supernet.store import Owned, Store, owned_parameters
from orchestrator.training.building import build_network

__all__ = ["Borrowed", "Borrower", "borrow", "release"]

# Borrowed networks kept ready. They hold no weights, so only their buffers and modules cost.
_READY = 512


class _Copied:
    """A part of a store's tensor that is no slice, and the copy a network works on.

    Where one dimension alone is picked from by index, as in every segmented layer, the index is
    laid ready: ten to twenty times as fast as to say anew what the part is.
    """

    def __init__(self, whole: Tensor, region: Region, copy: Tensor) -> None:
        self.whole = whole
        self.region = region
        self.copy = copy
        picked = [d for d, part in enumerate(region.parts) if not isinstance(part, slice)]
        self.dimension = picked[0] if len(picked) == 1 else None
        if self.dimension is not None:
            every = slice(None)
            rest = tuple(part if isinstance(part, slice) else every for part in region.parts)
            self.sliced = whole[rest]
            self.index = torch.tensor(region.parts[self.dimension], device=whole.device)

    def pull(self) -> None:
        """From the store."""
        if self.dimension is None:
            self.copy.copy_(self.region.read(self.whole))
        else:
            torch.index_select(self.sliced, self.dimension, self.index, out=self.copy)

    def push(self) -> None:
        """To the store."""
        if self.dimension is None:
            self.region.write(self.whole, self.copy)
        else:
            self.sliced.index_copy_(self.dimension, self.index, self.copy)


@dataclass
class Borrowed:
    """A network, and its parameters with the entries of the store they are parts of."""

    network: nn.Module
    version: int
    owned: list[tuple[Owned, Region]]
    optimizer: torch.optim.Optimizer | None = None
    copied: list[_Copied] = field(default_factory=list)

    @torch.no_grad()
    def pull(self) -> None:
        """Fetch what other networks have changed since; nothing to do for views."""
        for part in self.copied:
            part.pull()

    @torch.no_grad()
    def push(self) -> None:
        """Write back what this network has changed; nothing to do for views."""
        for part in self.copied:
            part.push()


def borrow(network: nn.Module, store: Store) -> Borrowed:
    """Make the parameters of `network` parts of the store, which must cover it."""
    borrowed = Borrowed(network, store.version, [])
    for owned in owned_parameters(network):
        region = store.region(owned)
        whole = store.tensors[owned.name]
        trained = owned.tensor.requires_grad
        part = region.read(whole)
        if not region.is_view and part.dim() == 4:
            # `to`, as `contiguous` leaves a 1×1 kernel as it is, which then says nothing about
            # the layout: activations that lost theirs would not get it back.
            part = part.to(memory_format=torch.channels_last)
        owned.replace(nn.Parameter(part, requires_grad=trained))
        borrowed.owned.append((owned, region))
        if not region.is_view:
            borrowed.copied.append(_Copied(whole, region, owned.tensor.data))
    return borrowed


def release(network: nn.Module) -> None:
    """Give the network its own copies: what is done to it no longer concerns the store."""
    for owned in owned_parameters(network):
        tensor = owned.tensor
        own = tensor.detach().clone(memory_format=torch.contiguous_format)
        owned.replace(nn.Parameter(own, requires_grad=tensor.requires_grad))


class Borrower:
    """Gives borrowed networks by genotype, built once and kept ready where the store lies.

    A network that the store does not cover makes it grow. With a `start`, the store and what it
    does not hold yet begin with trained weights.
    """

    def __init__(
        self, store: Store, task: Task, facts: ImageFacts, start: Start | None = None
    ) -> None:
        self.store = store
        self.task = task
        self.facts = facts
        self.start = start
        self._ready: OrderedDict[str, Borrowed] = OrderedDict()

    def get(self, genotype: Genotype) -> Borrowed:
        """Ready to be trained or evaluated; raises BuildError and SharingError."""
        key = genotype.key
        borrowed = self._ready.get(key)
        if borrowed is None or borrowed.version != self.store.version:
            network = self.build(genotype) if borrowed is None else borrowed.network
            if self.start is not None:
                self.store.seed(self.start.whole(network))
            network.to(self.store.device)
            self.store.grow(network)
            borrowed = borrow(network, self.store)
            self._ready[key] = borrowed
        self._ready.move_to_end(key)
        while len(self._ready) > _READY:
            self._ready.popitem(last=False)
        borrowed.pull()
        return borrowed

    def build(self, genotype: Genotype, *, seed: int | None = None) -> nn.Module:
        """A fresh network with weights of its own, trained ones if any; raises BuildError."""
        network = build_network(self.store.space, genotype, self.facts, seed=seed, task=self.task)
        if self.start is not None:
            self.start.give(network)
        return network

    def with_optimizer(
        self, borrowed: Borrowed, make: Callable[[nn.Module], torch.optim.Optimizer]
    ) -> torch.optim.Optimizer:
        """The network's optimiser, whose memory is part of the store's too."""
        if borrowed.optimizer is None:
            borrowed.optimizer = make(borrowed.network)
            _share_memory(borrowed, self.store)
        return borrowed.optimizer


def _share_memory(borrowed: Borrowed, store: Store) -> None:
    """Let the optimiser remember in the store what it would remember of each parameter."""
    optimizer = borrowed.optimizer
    assert optimizer is not None
    for owned, region in borrowed.owned:
        if not owned.tensor.requires_grad:
            continue
        state = optimizer.state[owned.tensor]
        for key, like in _remembers(optimizer).items():
            whole = store.remembered(owned, key, like)
            if not like.dim():
                state[key] = whole
                continue
            state[key] = region.read(whole)
            if not region.is_view:
                borrowed.copied.append(_Copied(whole, region, state[key]))


def _remembers(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser keeps for a parameter: of its shape (one dimension here) or a count."""
    if isinstance(optimizer, torch.optim.AdamW):
        tensor = torch.zeros(1)
        return {"step": torch.zeros(()), "exp_avg": tensor, "exp_avg_sq": tensor}
    momentum = optimizer.defaults.get("momentum", 0.0)
    return {"momentum_buffer": torch.zeros(1)} if momentum else {}
