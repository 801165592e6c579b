"""Attention and MLP on tokens (Vaswani et al. 2017, arXiv:1706.03762; ViT: arXiv:2010.11929)."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from orchestrator import outlined
from orchestrator_spaces.blocks.convolution import activation

__all__ = [
    "AttentionShape",
    "HeadLayers",
    "LayerScale",
    "Mlp",
    "MultiHeadAttention",
    "PatchEmbedding",
    "ScoreBias",
    "TransformerBlock",
    "fused_projections",
]


@dataclass(frozen=True)
class AttentionShape:
    """Widths of the tokens and, for one head, of its queries and keys and of its values."""

    width: int
    heads: int
    key_width: int
    value_width: int


# What an attention's `head_layers` gives, for who sorts heads and keeps them whole: layers whose
# tensors hold one head after another along the first dimension, layers that read heads along the
# second dimension of their weight, and the number of heads.
HeadLayers: TypeAlias = tuple[list[nn.Module], list[nn.Module], int]


class ScoreBias(nn.Module):
    """What is added to the scores of attention, with a table that has an entry for each head."""

    @abstractmethod
    def forward(self) -> Tensor:
        """(heads, N, N), or what broadcasts to it."""

    @abstractmethod
    def by_head(self) -> nn.Module:
        """A layer whose only parameter is the table, in its own memory, heads first."""


@outlined
class MultiHeadAttention(nn.Module):
    """Attention among all tokens of an image, or of each of its windows.

    One projection holds query, key and value head by head, so that its leading outputs are the
    first heads.
    """

    bias: ScoreBias

    def __init__(self, shape: AttentionShape, *, bias: ScoreBias | None = None) -> None:
        super().__init__()
        self.heads = shape.heads
        self.widths = [shape.key_width, shape.key_width, shape.value_width]
        self.scale = shape.key_width**-0.5
        self.qkv = nn.Linear(shape.width, shape.heads * sum(self.widths))
        self.project = nn.Linear(shape.heads * shape.value_width, shape.width)
        if bias is not None:
            self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """(B, …, N, C) → the same."""
        x = self.project(self.attend(x))
        return x

    def head_layers(self) -> HeadLayers:
        """Heads may change places together: query, key and value of a head follow one another."""
        tables = [self.bias.by_head()] if hasattr(self, "bias") else []
        return [self.qkv, *tables], [self.project], self.heads

    def attend(self, x: Tensor) -> Tensor:
        """(B, …, N, C) → (B, …, N, heads · v): the heads' answers before the projection."""
        qkv = self.qkv(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
        query, key, value = qkv.split(self.widths, dim=-1)  # (B, …, heads, N, k), k and v
        scores = (query * self.scale) @ key.transpose(-2, -1)  # (B, …, heads, N, N)
        if hasattr(self, "bias"):
            scores = scores + self.bias()
        x = scores.softmax(dim=-1) @ value  # (B, …, heads, N, v)
        return x.transpose(-3, -2).flatten(-2)


def fused_projections(network: nn.Module) -> list[nn.Module]:
    """The query, key and value projections of all attentions, whose outputs belong to heads."""
    return [layer.qkv for layer in network.modules() if isinstance(layer, MultiHeadAttention)]


@outlined
class Mlp(nn.Sequential):
    """Linear, activation, linear on the last dimension; children expand, activation, project."""

    def __init__(self, width: int, hidden: int, *, act: str = "gelu") -> None:
        between = activation(act)
        if hasattr(between, "inplace"):
            # A linear layer's output is a view, and Torch-Pruning loses the trace where one is
            # overwritten.
            vars(between)["inplace"] = False
        super().__init__(
            OrderedDict(
                expand=nn.Linear(width, hidden),
                activation=between,
                project=nn.Linear(hidden, width),
            )
        )


@outlined
class TransformerBlock(nn.Module):
    """Norm, attention, residual; norm, MLP, residual ("pre-norm")."""

    def __init__(self, attention: nn.Module, mlp: nn.Module, width: int, *, eps: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.attention = attention
        self.mlp_norm = nn.LayerNorm(width, eps=eps)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → the same."""
        x = x + self.attention(self.attention_norm(x))
        x = x + self.mlp(self.mlp_norm(x))
        return x


@outlined
class PatchEmbedding(nn.Module):
    """Square patches without overlap, each a token: a convolution whose stride is its kernel."""

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, H/patch · W/patch, C), row by row."""
        x = self.conv(x).flatten(2).transpose(1, 2)
        return x


@outlined
class LayerScale(nn.Module):
    """One learned factor a channel; `shape` is (C, 1, 1) for maps or (C,) for tokens."""

    def __init__(self, shape: tuple[int, ...], initial: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full(shape, initial))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * self.scale
