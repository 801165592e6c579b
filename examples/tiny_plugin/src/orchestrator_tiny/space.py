"""A small family of plain convolutional networks, written to be read as an example.

An image passes two or three stages. A stage halves height and width in its first block and then
keeps them; each of its blocks is a plain 3×3 convolution or a depthwise-separable one (Howard et
al. 2017, arXiv:1704.04861). Averages over the remaining positions are classified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from orchestrator import ImageFacts, Outputs, Published, SearchSpace, Trial
from orchestrator.errors import BuildError

__all__ = ["TinyNet", "TinySpace"]

WIDTHS = {"small": (24, 32, 48), "full": (32, 64, 96, 128)}


class TinySpace(SearchSpace):
    """Two or three stages; width, depth and operator of each.

    `preset` "small" suits 8×8 to 32×32 images, "full" has larger widths.
    """

    name = "tiny"

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """{"stages": [{"width", "depth", "operator"}, …]}; only stages that exist are asked for."""
        count = trial.suggest_categorical("stages", [2, 3])
        return {"stages": [self._stage(trial, f"stages.{index}") for index in range(count)]}

    def build(
        self, architecture: Mapping[str, Any], facts: ImageFacts, outputs: Outputs
    ) -> nn.Module:
        """A `TinyNet`; raises BuildError where an image is too small to be halved so often."""
        stages = architecture["stages"]
        if facts.image_size < 2 ** len(stages):
            raise BuildError(
                f"{len(stages)} stages halve an image {len(stages)} times; found image size "
                f"{facts.image_size}, expected at least {2 ** len(stages)}."
            )
        return TinyNet(stages, classes=outputs.count, in_channels=facts.in_channels)

    def published(self) -> dict[str, Published]:
        """A first guess from the middle of the space; nobody published figures for it."""
        width = WIDTHS[self.preset]
        choices: dict[str, Any] = {"stages": 2}
        for index in range(2):
            choices |= {
                f"stages.{index}.width": width[index],
                f"stages.{index}.depth": 1,
                f"stages.{index}.operator": "convolution",
            }
        return {"middle": Published(choices, image_size=32, source="chosen by hand")}

    def _stage(self, trial: Trial, name: str) -> dict[str, Any]:
        return {
            "width": trial.suggest_categorical(f"{name}.width", list(WIDTHS[self.preset])),
            "depth": trial.suggest_int(f"{name}.depth", 1, 2),
            "operator": trial.suggest_categorical(f"{name}.operator", ["convolution", "separable"]),
        }


class TinyNet(nn.Module):
    """(B, in_channels, H, W) → (B, classes)."""

    def __init__(self, stages: list[Mapping[str, Any]], *, classes: int, in_channels: int) -> None:
        super().__init__()
        # A container a stage: one stage's depth never renames the blocks of the next, so that
        # weights can be shared between networks.
        self.stages = nn.ModuleList()
        channels = in_channels
        for stage in stages:
            blocks = nn.Sequential()
            for index in range(stage["depth"]):
                stride = 2 if index == 0 else 1
                blocks.append(OPERATORS[stage["operator"]](channels, stage["width"], stride))
                channels = stage["width"]
            self.stages.append(blocks)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        features = images
        for blocks in self.stages:
            features = blocks(features)  # (B, width, H / 2, W / 2)
        return torch.as_tensor(self.classifier(features.mean((2, 3))))


class ConvolutionBlock(nn.Module):
    """(B, C, H, W) → (B, width, H / stride, W / stride)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Convolution, normalisation, ReLU."""
        return torch.relu(self.norm(self.convolution(features)))


class SeparableBlock(nn.Module):
    """The same shapes; positions are mixed first, channels second.

    Its parameters have other names than `ConvolutionBlock`'s: they play other roles.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, 3, stride, padding=1, groups=channels, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, width, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(width)

    def forward(self, features: Tensor) -> Tensor:
        """Depthwise 3×3, then pointwise 1×1, each with normalisation and ReLU."""
        mixed = torch.relu(self.depthwise_norm(self.depthwise(features)))
        return torch.relu(self.pointwise_norm(self.pointwise(mixed)))


OPERATORS = {"convolution": ConvolutionBlock, "separable": SeparableBlock}
