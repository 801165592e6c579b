"""A network without its classifier: what a dense task puts its own head on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from orchestrator_spaces.blocks.resolution import ImageShape

__all__ = ["Pyramid", "StageEnd", "Trunk"]


@dataclass(frozen=True)
class StageEnd:
    """What a stage gives: its channels, and how many pixels a side one of its places stands for."""

    channels: int
    stride: int


class Trunk(nn.Module):
    """Resizing, stem and stages, each of which ends as its place in `ends` says.

    A family's own trunk gives the stem and appends stages.
    """

    stem: nn.Module
    stages: nn.Sequential

    def __init__(self, image: ImageShape) -> None:
        super().__init__()
        self.side = image.side
        self.resize = image.resize()
        self.ends: list[StageEnd] = []


class Pyramid(nn.Module):
    """A trunk under its classifier's names; of each stride the last map.

    `channels` and `strides` are those of the maps. Strides are of the images that the network
    works at, `side` pixels a side, which is less than what it is given at a resolution below 1.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.resize, self.stem, self.stages = trunk.resize, trunk.stem, trunk.stages
        self.side = trunk.side
        last = {end.stride: index for index, end in enumerate(trunk.ends)}
        self.taken = tuple(last.values())
        self.strides = tuple(last)
        self.channels = tuple(trunk.ends[index].channels for index in self.taken)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W) → maps (B, C_i, ⌈side/stride_i⌉, ⌈side/stride_i⌉)."""
        x = self.stem(self.resize(x))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps[index] for index in self.taken)
