"""The smallest space with a pyramid: three convolutions, whose maps are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from orchestrator import Classes, ImageFacts, Maps, Outputs, SearchSpace, Trial

__all__ = ["ToyPyramid", "ToyPyramidSpace"]


class ToyPyramid(nn.Module):
    """Maps of strides 2, 4 and 8."""

    strides = (2, 4, 8)

    def __init__(self, facts: ImageFacts, width: int) -> None:
        super().__init__()
        self.side = facts.image_size
        self.channels = (width, 2 * width, 4 * width)
        before = (facts.in_channels, *self.channels)
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(one, other, 3, 2, 1), nn.BatchNorm2d(other), nn.ReLU())
            for one, other in zip(before, self.channels, strict=False)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) → three maps."""
        maps = []
        for step in self.steps:
            x = step(x)
            maps.append(x)
        return tuple(maps)


class ToyPyramidSpace(SearchSpace):
    """One choice, its width."""

    name = "toy_pyramid"
    serves = frozenset({Maps})

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """The width."""
        return {"width": trial.suggest_categorical("width", [8, 16])}

    def build(
        self, architecture: Mapping[str, Any], facts: ImageFacts, outputs: Outputs
    ) -> nn.Module:
        """Classifiers are not what it is for."""
        assert isinstance(outputs, Classes)
        raise NotImplementedError

    def features(self, architecture: Mapping[str, Any], facts: ImageFacts) -> nn.Module:
        """Three maps."""
        return ToyPyramid(facts, architecture["width"])
