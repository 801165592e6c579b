"""Splitting, merging and shuffling channels, so that they keep their roles in narrower networks.

Grouped channels and their shuffle: Zhang et al., "ShuffleNet", 2017, arXiv:1707.01083. Split by
halves: Ma et al., "ShuffleNet V2", 2018, arXiv:1807.11164.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orchestrator import outlined

__all__ = ["ChannelShuffle", "GroupedConcat", "Merge", "Split"]


class Split(nn.Module):
    """Halves by pairs of channels: (0, 1, 4, 5, …) and (2, 3, 6, 7, …)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) → twice (B, C/2, H, W); C is a multiple of 4."""
        quads = torch.unflatten(x, 1, (-1, 4))  # (B, C/4, 4, H, W)
        return quads[:, :, :2].flatten(1, 2), quads[:, :, 2:].flatten(1, 2)


class Merge(nn.Module):
    """Interleave channels as far as the narrower input reaches; the wider one's rest follows."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, C1, H, W) and (B, C2, H, W) → (B, C1 + C2, H, W)."""
        both = min(first.shape[1], second.shape[1])
        merged = torch.stack((first[:, :both], second[:, :both]), dim=2).flatten(1, 2)
        if first.shape[1] == second.shape[1]:
            return merged
        rest = first if first.shape[1] > both else second
        return torch.cat((merged, rest[:, both:]), dim=1)


@outlined
class ChannelShuffle(nn.Module):
    """From group after group to one channel of each group in turn."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same; C is a multiple of the groups."""
        grouped = torch.unflatten(x, 1, (self.groups, -1))  # (B, groups, C/groups, H, W)
        return grouped.transpose(1, 2).flatten(1, 2)

    def extra_repr(self) -> str:
        """The number of groups."""
        return f"groups={self.groups}"


@outlined
class GroupedConcat(nn.Module):
    """Concatenation within each group; there `parts` channels of the two alternate.

    Inputs whose widths are as parts[0] to parts[1] are dealt out evenly, so that a narrower pair
    gives the leading channels of each group of a wider pair's.
    """

    def __init__(self, groups: int, parts: tuple[int, int]) -> None:
        super().__init__()
        self.groups = groups
        self.parts = parts

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, C1, H, W) and (B, C2, H, W) → (B, C1 + C2, H, W)."""
        dealt = [
            torch.unflatten(x, 1, (self.groups, -1, part))
            for x, part in zip((first, second), self.parts, strict=True)
        ]  # (B, groups, n, part, H, W)
        return torch.cat(dealt, dim=3).flatten(1, 3)

    def extra_repr(self) -> str:
        """Groups and parts."""
        return f"groups={self.groups}, parts={self.parts}"
