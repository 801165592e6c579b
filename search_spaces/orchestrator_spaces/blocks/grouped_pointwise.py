"""1×1 convolutions, in groups if wanted, and the shuffles between them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from orchestrator import outlined

__all__ = ["SHUFFLES", "GroupedPointwise", "group_of_part", "pointwise", "published_order"]

Places: TypeAlias = npt.NDArray[np.int64]

# Where channels are shuffled: after every convolution, as narrow networks of ours have it, or as
# Mobile-Former's authors do: not at all, after it, or before it.
SHUFFLES = ("turned", "none", "after", "before")


@outlined
class GroupedPointwise(nn.Module):
    """A grouped 1×1 convolution, with a shuffle of its output for the next one or of its input.

    Channels of a group are not neighbours but every `groups`-th one: unlike in ShuffleNet (Zhang
    et al. 2017, arXiv:1707.01083), a channel belongs to the same group whatever the width. The
    weight has its outputs group after group. Where the shuffle is

    - "turned", the i-th outputs of all groups stand side by side, turned by i places, so that each
      group sees outputs of all groups of the convolution before, and narrow networks are the first
      part of wide ones;
    - "none", the next convolution's groups see the groups of this one;
    - "after" or "before", ShuffleNet's shuffle as Mobile-Former's authors have it, of outputs or
      inputs, up to the order of channels that `group_of_part` tells.
    """

    order: Tensor
    entry: Tensor

    def __init__(self, width_in: int, width: int, groups: int, shuffle: str = "turned") -> None:
        super().__init__()
        self.groups = groups
        self.shuffle = shuffle
        self.conv = nn.Conv2d(width_in, width, 1, groups=groups, bias=False)
        self.register_buffer("order", _order(width, groups, shuffle), persistent=False)
        if shuffle == "before":
            self.register_buffer("entry", _entry(width_in, groups), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) → (B, width, H, W); both widths are multiples of the groups."""
        if self.shuffle == "before":
            x = x.index_select(1, self.entry)
        else:
            x = torch.unflatten(x, 1, (-1, self.groups)).transpose(1, 2).flatten(1, 2)
        x = self.conv(x).index_select(1, self.order)
        return x

    def extra_repr(self) -> str:
        """The shuffle, where it is not ours."""
        return "" if self.shuffle == "turned" else f"shuffle={self.shuffle}"


# Orders are worked out by NumPy, as torch takes long where tensors have no memory.
def group_of_part(part: Places, groups: int) -> Places:
    """Which of our groups the neighbouring channels of part 0, 1, … of a published layer are.

    Parts of the first half are even groups, so that they see the first of two heads here as there.
    """
    half = groups // 2
    return part % half * 2 + part // half


def _order(width: int, groups: int, shuffle: str) -> Tensor:
    """(width,): which output of the convolution stands at each place."""
    each = width // groups
    place, turn = np.arange(each)[:, None], np.arange(groups)[None]
    if shuffle == "turned":
        return torch.tensor(((turn - place) % groups * each + place).flatten())
    if shuffle == "after":
        published = _published(width, groups)
        return torch.tensor(group_of_part(published % groups, groups) * each + published // groups)
    return torch.tensor((turn * each + place).flatten())


def _entry(width: int, groups: int) -> Tensor:
    """(width,): the place of the channel that each input of the convolution is."""
    each = width // groups
    entry, shuffled = np.empty(width, dtype=np.int64), np.arange(width)
    source = shuffled // groups * groups + group_of_part(shuffled % groups, groups)
    entry[group_of_part(shuffled // each, groups) * each + shuffled % each] = source
    return torch.tensor(entry)


def published_order(width: int, groups: int) -> Tensor:
    """(width,): the channel of a published layer that stands at each place of ours."""
    return torch.tensor(_published(width, groups))


def _published(width: int, groups: int) -> Places:
    each, channel = width // groups, np.arange(width)
    published = np.empty(width, dtype=np.int64)
    published[channel % each * groups + group_of_part(channel // each, groups)] = channel
    return published


@outlined
def pointwise(
    width_in: int,
    width: int,
    groups: int,
    *,
    activation: nn.Module | None = None,
    shuffle: str = "turned",
) -> nn.Sequential:
    """1×1 convolution and batch norm; a grouped convolution is named by groups and shuffle."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if groups == 1:
        layers["conv"] = nn.Conv2d(width_in, width, 1, bias=False)
    else:
        suffix = "" if shuffle == "turned" else f"_{shuffle}"
        layers[f"groups{groups}{suffix}"] = GroupedPointwise(width_in, width, groups, shuffle)
    layers["norm"] = nn.BatchNorm2d(width)
    if activation is not None:
        layers["activation"] = activation
    return nn.Sequential(layers)
