"""A map and a few tokens that attend to each other: the two-way bridge of Mobile-Former.

Chen et al., "Mobile-Former: Bridging MobileNet and Transformer", 2021, arXiv:2108.05895, and the
code at AAboys/MobileFormer. Maps are never projected: they are keys, values and queries as they
are. Heads take turns over the channels (0, 1, 0, 1, …), which is the papers' network up to the
order of channels, and lets a narrow network's channels be the first of a wide one's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from orchestrator import outlined

__all__ = ["Former", "FormerToMobile", "MobileToFormer"]

BRIDGE_HEADS = 2
FORMER_HEADS = 4


def _attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """(B, N, C), (B, M, C), (B, M, C) → (B, N, C); the batch of either side may be 1."""
    queries, keys, values = (_by_head(each, heads) for each in (queries, keys, values))
    scale = queries.shape[-1] ** -0.5
    scores = (queries * scale) @ keys.transpose(-2, -1)  # (B, heads, N, M)
    x = scores.softmax(dim=-1) @ values  # (B, heads, N, C/heads)
    seen: Tensor = x.permute(0, 2, 3, 1).flatten(2)
    return seen


def _by_head(x: Tensor, heads: int) -> Tensor:
    """(B, N, C) → (B, heads, N, C/heads)."""
    return torch.unflatten(x, -1, (-1, heads)).permute(0, 3, 1, 2)


@outlined
class MobileToFormer(nn.Module):
    """Tokens look at the map; what they saw is gated, and added to them."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(token_width, width)
        self.gate = nn.Linear(token_width, width)
        self.sigmoid = nn.Hardsigmoid()
        self.project = nn.Linear(width, token_width)
        self.norm = nn.LayerNorm(token_width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, C, H, W) and (B or 1, T, width of a token) → (B, T, width of a token)."""
        places = x.flatten(2).transpose(1, 2)  # (B, H · W, C)
        seen = _attend(self.query(tokens), places, places, BRIDGE_HEADS)  # (B, T, C)
        seen = seen * (2 * self.sigmoid(self.gate(tokens)))
        tokens = self.norm(tokens + self.project(seen))
        return tokens


@outlined
class Former(nn.Module):
    """Tokens look at each other, then an MLP; norms come last, keys and values are the tokens."""

    def __init__(self, token_width: int, mlp_ratio: int = 2) -> None:
        super().__init__()
        self.query = nn.Linear(token_width, token_width)
        self.project = nn.Linear(token_width, token_width)
        self.norm = nn.LayerNorm(token_width)
        self.mlp = nn.Sequential(
            nn.Linear(token_width, mlp_ratio * token_width),
            nn.GELU(),
            nn.Linear(mlp_ratio * token_width, token_width),
        )
        self.mlp_norm = nn.LayerNorm(token_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T, width of a token) → the same."""
        seen = _attend(self.query(tokens), tokens, tokens, FORMER_HEADS)
        tokens = self.norm(tokens + self.project(seen))
        tokens = self.mlp_norm(tokens + self.mlp(tokens))
        return tokens


@outlined
class FormerToMobile(nn.Module):
    """Every place of the map looks at the tokens, and what it saw is added to it."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.key = nn.Linear(token_width, width)
        self.value = nn.Linear(token_width, width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """(B, C, H, W) and (B or 1, T, width of a token) → (B, C, H, W)."""
        places = x.flatten(2).transpose(1, 2)  # (B, H · W, C)
        seen = _attend(places, self.key(tokens), self.value(tokens), BRIDGE_HEADS)
        return x + torch.unflatten(seen.transpose(1, 2), 2, x.shape[2:])
