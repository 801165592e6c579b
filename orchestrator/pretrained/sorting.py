"""A trained network's channels in the order of their importance, its function as it was.

A narrow network inherits the leading channels of a wide one, so the wide one's are sorted first:
by the L1 norm of the weights that read a channel, as Cai et al. do before they shrink a network
(2019, arXiv:1908.09791). Heads of attention stay whole. Which dimensions move together is told by
the dependency graph of Fang et al. (2023, arXiv:2301.12900), and nothing is believed before the
network's answers to noise have stayed what they were.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orchestrator.errors import plural
from orchestrator.pretrained.groups import Group, channel_groups, head_groups

__all__ = ["Sorted", "sort_channels"]

# Of the largest logit; float32 sums in another order differ by some 1e-5 of it.
_TOLERANCE = 1e-4
_IMAGES = 2


@dataclass(frozen=True)
class Sorted:
    """The state of a network with sorted channels.

    `sorted` and `left` name groups by the layer that gives their channels: those that were put in
    order, and those that stay as they were since the graph cannot follow them, or the network's
    answers changed.
    """

    tensors: Mapping[str, Tensor]
    sorted: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What the user is told."""
        total = len(self.sorted) + len(self.left)
        told = (
            f"channels sorted by what reads them in {len(self.sorted)} of {plural(total, 'group')}"
        )
        return told if self.sorted else "channels are in the order in which they were published"


def sort_channels(
    network: nn.Module, fixed: Iterable[nn.Module], shape: tuple[int, int, int]
) -> Sorted:
    """The channels of `network`, which has its trained weights, by importance; it stays as it is.

    `fixed` are layers whose outputs keep their order, `shape` is that of an image, (C, H, W). Cost:
    tracing the network once, and a few forward passes of two images.
    """
    work = copy.deepcopy(network).eval()
    names = {module: name for name, module in network.named_modules()}
    kept = [work.get_submodule(names[layer]) for layer in fixed]
    images = torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    groups, left = channel_groups(work, kept, images[:1])
    sorting = _Sorting(work, images)
    done = sorting.all_of([*groups, *head_groups(work)])
    unproven = [group.name for group in groups if group.name not in done]
    state = {name: tensor.detach() for name, tensor in work.state_dict().items()}
    return Sorted(state, tuple(done), (*left, *unproven))


class _Sorting:
    """Sorts a network in place, as far as its answers stay what they were."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        self.network = network
        self.images = images
        self.expected = self._answers()

    def all_of(self, groups: Sequence[Group]) -> list[str]:
        """Sort those that can be; halves are tried apart where the whole changes an answer."""
        if not groups:
            return []
        with torch.no_grad():
            for group in groups:
                group.sort()
        if self._unchanged():
            return [group.name for group in groups]
        with torch.no_grad():
            for group in reversed(groups):
                group.undo()
        if len(groups) == 1:
            return []
        half = len(groups) // 2
        return [*self.all_of(groups[:half]), *self.all_of(groups[half:])]

    def _unchanged(self) -> bool:
        found = self._answers()
        limit = _TOLERANCE * float(self.expected.abs().max())
        return bool((found - self.expected).abs().max() <= limit)

    def _answers(self) -> Tensor:
        with torch.no_grad():
            answers: Tensor = self.network(self.images)
        return answers
