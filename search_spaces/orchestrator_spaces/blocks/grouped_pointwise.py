"""1×1 convolutions, in groups if wanted, whose narrow networks are the first part of wide ones."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

__all__ = ["GroupedPointwise", "pointwise"]


class GroupedPointwise(nn.Module):
    """A grouped 1×1 convolution whose output is shuffled for the next one.

    Channels of a group are not neighbours but every `groups`-th one, and the i-th outputs of all
    groups stand side by side, turned by i places, so that each group sees outputs of all groups
    of the convolution before: convolution and shuffle of ShuffleNet (Zhang et al. 2017,
    arXiv:1707.01083) up to the order of channels. Unlike there, a channel belongs to the same
    group whatever the width. The weight has its outputs group after group.
    """

    order: Tensor

    def __init__(self, width_in: int, width: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.conv = nn.Conv2d(width_in, width, 1, groups=groups, bias=False)
        each = torch.arange(width // groups)[:, None]
        group = (torch.arange(groups)[None] - each) % groups  # (width / groups, groups)
        self.register_buffer(
            "order", (group * (width // groups) + each).flatten(), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width_in, H, W) → (B, width, H, W); both widths are multiples of the groups."""
        x = torch.unflatten(x, 1, (-1, self.groups)).transpose(1, 2).flatten(1, 2)
        x = self.conv(x).index_select(1, self.order)
        return x


def pointwise(
    width_in: int, width: int, groups: int, *, activation: nn.Module | None = None
) -> nn.Sequential:
    """1×1 convolution and batch norm; a grouped convolution is named by its number of groups."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if groups == 1:
        layers["conv"] = nn.Conv2d(width_in, width, 1, bias=False)
    else:
        layers[f"groups{groups}"] = GroupedPointwise(width_in, width, groups)
    layers["norm"] = nn.BatchNorm2d(width)
    if activation is not None:
        layers["activation"] = activation
    return nn.Sequential(layers)
