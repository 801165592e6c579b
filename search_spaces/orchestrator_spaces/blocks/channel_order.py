"""Which channels a ShuffleNetV2 unit changes, and where each of them lies afterwards.

Ma et al., "ShuffleNet V2", 2018, arXiv:1807.11164. Units of torchvision halve the channels
("chunks") and interleave what passed and what was changed; those of the authors' code change every
second channel ("turns") and put the changed ones last. A channel keeps its role from a stage's
first unit to its last if it is told by its place after the first one, its slot: a stage gives its
channels by slots, so that what reads them does not depend on how many units there were.

The two channels of slots p and C - 1 - p make a pair: each unit changes exactly one of the two, and
one of them comes from the first unit's shortcut. The pair of shortcut channel i has number i. In
networks of another width, pairs that are changed alike by the same units have the same role.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

__all__ = ["ChannelOrder", "Join", "PassingUnit", "Reorder", "alike"]

# Of as many units, at least, changes are compared to find pairs of the same role.
COMPARED = 10


@dataclass(frozen=True)
class ChannelOrder:
    """The order of `width` channels, an even number; `kind` is "chunks" or "turns"."""

    kind: str
    width: int

    @property
    def half(self) -> int:
        """How many channels a unit changes."""
        return self.width // 2

    def slot(self, pair: int) -> int:
        """Where the shortcut's channel of a pair lies."""
        return 2 * pair if self.kind == "chunks" else pair

    def moved(self, place: int) -> int:
        """Where what lies at `place` before a unit lies after it."""
        if self.kind == "chunks":
            return 2 * place if place < self.half else 2 * place - self.width + 1
        return place // 2 + self.half * (place % 2)

    def place(self, slot: int, unit: int) -> int:
        """Where a slot's channel lies before unit `unit`, counted from 0."""
        for _ in range(unit):
            slot = self.moved(slot)
        return slot

    def changes(self, place: int) -> bool:
        """Whether a unit changes what lies there."""
        return place >= self.half if self.kind == "chunks" else place % 2 == 1

    def changed(self, unit: int) -> list[int]:
        """The pairs whose channels unit `unit` changes, in the order its branch sees them."""
        pairs: dict[int, int] = {}
        for pair in range(self.half):
            for slot in (self.slot(pair), self.width - 1 - self.slot(pair)):
                if self.changes(place := self.place(slot, unit)):
                    pairs[place] = pair
        return [pairs[place] for place in sorted(pairs)]

    def after_unit(self) -> list[int]:
        """What a unit gives on: of what passed and then what changed, which one in each place."""
        if self.kind == "turns":
            return list(range(self.width))
        return sorted(range(self.width), key=self.moved)

    def by_slot(self, units: int) -> list[int]:
        """The same after the last of `units`, by slots."""
        places = [self.place(slot, units) for slot in range(self.width)]
        given_on = self.after_unit()
        return [given_on[place] for place in places]


@lru_cache(maxsize=256)
def alike(wide: ChannelOrder, narrow: ChannelOrder) -> tuple[int, ...]:
    """For each pair of `narrow` one of `wide`, each at most once.

    Pairs are changed alike by the first units, as many as possible.
    """
    left = {pair: _history(wide, pair) for pair in range(wide.half)}
    wanted = {pair: _history(narrow, pair) for pair in range(narrow.half)}
    found: dict[int, int] = {}
    for length in reversed(range(COMPARED + 1)):
        free: dict[str, Iterator[int]] = {}
        for history in {each[:length] for each in left.values()}:
            free[history] = iter([p for p, each in left.items() if each[:length] == history])
        for pair in [each for each in wanted if each not in found]:
            match = next(free.get(wanted[pair][:length], iter(())), None)
            if match is not None:
                found[pair] = match
                del left[match]
    return tuple(found[pair] for pair in range(narrow.half))


def _history(order: ChannelOrder, pair: int) -> str:
    """Of a pair's shortcut channel: for each unit whether it changes it."""
    slot = order.slot(pair)
    return "".join(str(int(order.changes(order.place(slot, unit)))) for unit in range(COMPARED))


class Reorder(nn.Module):
    """Channels in another order.

    An index rather than a transposition: what traces channels through it, as pruning does, takes
    a second where it took minutes. Exported, 1.0x takes 4 % longer (ONNX Runtime, one thread).
    """

    order: Tensor

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same; channel i is what was channel order[i]."""
        x = x.index_select(1, self.order)
        return x


def _arranged(order: list[int]) -> nn.Module:
    return nn.Identity() if order == list(range(len(order))) else Reorder(order)


class Join(nn.Module):
    """What a stage's first unit makes of its input, shortcut and branch, by slots."""

    def __init__(self, order: ChannelOrder) -> None:
        super().__init__()
        self.arrange = _arranged(order.after_unit())

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, C1, H, W) and (B, C2, H, W) → (B, C1 + C2, H, W)."""
        x: Tensor = self.arrange(torch.cat((first, second), dim=1))
        return x


class PassingUnit(nn.Module):
    """Half of the channels pass, the other half goes through the branch.

    `number` counts the units of a stage from 0; after the last one channels lie by slots.
    """

    def __init__(self, order: ChannelOrder, branch: nn.Module, number: int, *, last: bool) -> None:
        super().__init__()
        self.kind, self.changing = order.kind, order.half
        self.branch = branch
        self.arrange = _arranged(order.by_slot(number + 1) if last else order.after_unit())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        passed, changed = self._halves(x)  # (B, C/2, H, W)
        x = self.arrange(torch.cat((passed, self.branch(changed)), dim=1))
        return x

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.kind == "chunks":
            return x[:, : self.changing], x[:, self.changing :]
        return x[:, 0::2], x[:, 1::2]

    def extra_repr(self) -> str:
        """Which channels change."""
        return self.kind
