"""What is learned about the distance of two places and added to their attention score.

Graham et al., "LeViT", 2021, arXiv:2104.01136; EfficientFormer, Li et al. 2022, arXiv:2206.01191.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from orchestrator import outlined
from orchestrator_spaces.blocks.transformer import ScoreBias

__all__ = ["AttentionBias"]


@outlined
class AttentionBias(ScoreBias):
    """One number for each head and each distance (|Δrow|, |Δcolumn|) on a side × side map.

    With `stride` s the queries are every s-th row and column of the map the keys come from. The
    table is laid out by distance, so that the table of a smaller map is a larger one's corner.
    """

    entries: Tensor

    def __init__(self, heads: int, side: int, *, stride: int = 1) -> None:
        super().__init__()
        # Called bias, so that optimisers let it be without weight decay.
        self.bias = nn.Parameter(torch.zeros(heads, side, side))
        self.register_buffer("entries", _entries(side, stride), persistent=False)

    def forward(self) -> Tensor:
        """(heads, N_q, N), N = side² keys and N_q = ⌈side/stride⌉² queries, row by row."""
        return self.bias.flatten(1)[:, self.entries]

    def by_head(self) -> nn.Module:
        """The table as it is."""
        return nn.ParameterList([self.bias])


def _entries(side: int, stride: int) -> Tensor:
    """(N_q, N) indices into a flattened side × side table."""
    # Not by torch, which takes seconds at first where tensors have no memory.
    distance = np.abs(np.arange(0, side, stride)[:, None] - np.arange(side))  # (queries, side)
    rows, columns = distance[:, None, :, None], distance[None, :, None, :]
    return torch.tensor((rows * side + columns).reshape(len(distance) ** 2, side**2))
