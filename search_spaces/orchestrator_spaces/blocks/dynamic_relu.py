"""ReLU whose two slopes a token decides: Dynamic ReLU as Mobile-Former uses it.

Chen et al., "Dynamic ReLU", 2020, arXiv:2003.10027; driven by a token and without offsets: Chen
et al., "Mobile-Former", 2021, arXiv:2108.05895.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orchestrator import outlined

__all__ = ["DynamicReLU"]


@outlined
class DynamicReLU(nn.Module):
    """max(a · x, b · x) with a in [0, 2] and b in [-1, 1] for each channel, from a token.

    An MLP with a quarter of the token's width computes both. Where it gives zeros this is ReLU.
    The two slopes have a projection each, so that narrow ones are the first part of wide ones.
    """

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        hidden = token_width // 4
        self.squeeze = nn.Linear(token_width, hidden)
        self.activation = nn.ReLU()
        self.positive = nn.Linear(hidden, width)
        self.negative = nn.Linear(hidden, width)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        """(B, C, H, W) and (B, width of a token), or one token for all images → (B, C, H, W)."""
        hidden = self.activation(self.squeeze(token))
        first = 2 * self.gate(self.positive(hidden))  # (B, C)
        second = 2 * self.gate(self.negative(hidden)) - 1
        return torch.maximum(x * first[..., None, None], x * second[..., None, None])
