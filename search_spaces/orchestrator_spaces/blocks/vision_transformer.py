"""The plain vision transformer: tokens of one width and one number from the first block on.

Dosovitskiy et al. 2020, arXiv:2010.11929; the second classifier: Touvron et al. 2020,
arXiv:2012.12877; the convolutional stem: Xiao et al., "Early Convolutions Help Transformers See
Better", 2021, arXiv:2106.14881.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator import outlined
from orchestrator_spaces.blocks.convolution import ConvNorm
from orchestrator_spaces.blocks.resolution import ImageShape
from orchestrator_spaces.blocks.transformer import (
    AttentionShape,
    Mlp,
    MultiHeadAttention,
    PatchEmbedding,
    TransformerBlock,
)

__all__ = [
    "ConvStem",
    "Deviations",
    "DistilledVisionTransformer",
    "LearnedToken",
    "VisionTransformer",
    "resampled_positions",
]

EPS = 1e-6


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of initial weights; linear None is 1/√(width in) of each layer.

    Both papers' code takes 0.02 for all, which in narrow networks leaves the first epochs without
    a signal.
    """

    linear: float | None = 0.02
    tokens: float = 0.02


@outlined
class ConvStem(nn.Sequential):
    """3×3 convolutions of stride 2 that double the width up to `width`, then a 1×1 one.

    `patch` is the total stride, a power of 2.
    """

    def __init__(self, in_channels: int, width: int, patch: int) -> None:
        super().__init__()
        width_in = in_channels
        for halvings in reversed(range(patch.bit_length() - 1)):
            narrow = width >> halvings
            self.append(ConvNorm(width_in, narrow, 3, stride=2, activation=nn.ReLU(inplace=True)))
            width_in = narrow
        self.append(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) → (B, H/patch · W/patch, C), row by row."""
        for layer in self:
            x = layer(x)
        return x.flatten(2).transpose(1, 2)


@outlined
class LearnedToken(nn.Module):
    """A token that is the same for every image, with a position of its own."""

    def __init__(self, width: int, deviation: float) -> None:
        super().__init__()
        self.value = _drawn((1, 1, width), deviation)
        self.position = _drawn((1, 1, width), deviation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N + 1, C), the learned token first."""
        token = (self.value + self.position).expand_as(x[:, :1])  # (B, 1, C)
        # A negative dimension, by which Torch-Pruning tells that no channels are joined.
        return torch.cat((token, x), dim=-2)


class VisionTransformer(nn.Module):
    """Patches or a convolutional stem, blocks, norm, classifier on the class token or the mean.

    `architecture` has patch, stem ("patch" or "conv"), width, head_width, pooling ("class" or
    "mean") and blocks, each with its heads and the hidden width of its MLP. Where the number of
    patches or their size changes what a weight means, it is part of its name.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        *,
        classes: int,
        image: ImageShape,
        deviations: Deviations,
    ) -> None:
        super().__init__()
        width, patch = architecture["width"], architecture["patch"]
        self.resize = image.resize()
        embedding = {"patch": PatchEmbedding, "conv": ConvStem}[architecture["stem"]]
        self.embedding = nn.Sequential()
        self.embedding.add_module(
            f"{architecture['stem']}{patch}", embedding(image.in_channels, width, patch)
        )
        grid = image.side // patch
        self.grid = f"grid{grid}"
        positions = _drawn((1, grid * grid, width), deviations.tokens)
        self.positions = nn.ParameterDict({self.grid: positions})
        if architecture["pooling"] == "class":
            self.class_token = LearnedToken(width, deviations.tokens)
        self.blocks = nn.Sequential(
            *(_block(width, architecture["head_width"], block) for block in architecture["blocks"])
        )
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.classifier = nn.Linear(width, classes)
        self.apply(partial(_initialise, deviation=deviations.linear))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        x = self.encode(x)
        x = x[:, 0] if hasattr(self, "class_token") else x.mean(1)  # (B, C)
        x = self.classifier(x)
        return x

    def encode(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, N, C), learned tokens first."""
        x = self.embedding(self.resize(x)) + self.positions[self.grid]  # (B, grid², C)
        x = self.learned_tokens(x)
        x = self.norm(self.blocks(x))
        return x

    def learned_tokens(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N + 1, C) with a class token, else the same."""
        return self.class_token(x) if hasattr(self, "class_token") else x


class DistilledVisionTransformer(VisionTransformer):
    """A second learned token and a second classifier on it, for a teacher's answers.

    The network's answer is the mean of both classifiers. Its pooling is "class".
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        *,
        classes: int,
        image: ImageShape,
        deviations: Deviations,
    ) -> None:
        super().__init__(architecture, classes=classes, image=image, deviations=deviations)
        width = architecture["width"]
        self.distillation_token = LearnedToken(width, deviations.tokens)
        self.distillation_classifier = nn.Linear(width, classes)
        self.distillation_classifier.apply(partial(_initialise, deviation=deviations.linear))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, classes)."""
        labelled, taught = self._answers(x)
        return (labelled + taught) / 2

    def heads(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, 2, classes): of the class and the distillation token."""
        return torch.stack(self._answers(x), dim=1)

    def learned_tokens(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N + 2, C): class token, distillation token, patches."""
        return super().learned_tokens(self.distillation_token(x))

    def _answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.encode(x)  # (B, N, C)
        return self.classifier(x[:, 0]), self.distillation_classifier(x[:, 1])


def resampled_positions(positions: Tensor, side: int) -> Tensor:
    """(1, N, C) of a square grid, row by row → (1, side², C), bicubically as DeiT's authors do."""
    known = isqrt(positions.shape[1])
    table = torch.unflatten(positions.transpose(1, 2), 2, (known, known))  # (1, C, known, known)
    table = functional.interpolate(table, (side, side), mode="bicubic", antialias=True)
    return table.flatten(2).transpose(1, 2).contiguous()


@outlined
def _block(width: int, head_width: int, block: Mapping[str, int]) -> TransformerBlock:
    shape = AttentionShape(width, block["heads"], head_width, head_width)
    return TransformerBlock(MultiHeadAttention(shape), Mlp(width, block["hidden"]), width, eps=EPS)


def _drawn(shape: tuple[int, ...], deviation: float) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=deviation))


def _initialise(module: nn.Module, *, deviation: float | None) -> None:
    if isinstance(module, nn.Linear):
        deviation = module.in_features**-0.5 if deviation is None else deviation
        nn.init.trunc_normal_(module.weight, std=deviation)
        nn.init.zeros_(module.bias)
