"""Heads that make class maps out of a feature pyramid.

LR-ASPP: Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, section 6.4. The pooling
branch pools the whole map, as its 49×49 windows nearly do on maps of 1024×2048 pixels.

FPN: Lin et al. 2017, "Feature Pyramid Networks", arXiv:1612.03144: 1×1 laterals, a way from the
coarsest level up to the finest by nearest-neighbour upsampling and addition, and a convolution
that smooths the sum. Light: one answering level, and the smoothing is depthwise separable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.errors import BuildError

__all__ = ["HEADS", "Fpn", "Head", "LrAspp", "Pyramid", "resized"]


@dataclass(frozen=True)
class Pyramid:
    """Levels of a feature pyramid, finest first: channels, and pixels of the image a side."""

    channels: tuple[int, ...]
    strides: tuple[float, ...]

    def fine(self, stride: int) -> int:
        """The level that answers with `stride`: the coarsest that is no coarser, else the finest.

        Never the last, which is what the head adds context from; raises BuildError where there is
        but one level.
        """
        if len(self.channels) < 2:
            raise BuildError(
                f"the pyramid has {len(self.channels)} level, expected two or more: a fine one "
                "that says where things are and a coarse one that says what they are."
            )
        fine = [level for level, own in enumerate(self.strides[:-1]) if own <= stride]
        return max(fine, default=0)


class Head(nn.Module):
    """What makes maps of `ends[0]` classes, of a stride of `ends[1]` or finer, from a pyramid."""

    def __init__(self, pyramid: Pyramid, width: int, ends: tuple[int, int]) -> None:
        super().__init__()

    def classifiers(self) -> list[nn.Module]:
        """The layers whose outputs are the classes."""
        raise NotImplementedError


class LrAspp(Head):
    """The coarsest level, gated by its own mean, and a fine level, each by its own classifier."""

    def __init__(self, pyramid: Pyramid, width: int, ends: tuple[int, int]) -> None:
        super().__init__(pyramid, width, ends)
        classes, stride = ends
        self.level = pyramid.fine(stride)
        low, high = pyramid.channels[self.level], pyramid.channels[-1]
        self.context = ConvNorm(high, width, 1)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(high, width, 1, bias=False), nn.Sigmoid()
        )
        self.high_classifier = nn.Conv2d(width, classes, 1)
        self.low_classifier = nn.Conv2d(low, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) → logits (B, classes, H_low, W_low)."""
        low, high = maps[self.level], maps[-1]
        x = self.context(high) * self.gate(high)  # (B, width, H_high, W_high)
        # The classifier and bilinear upsampling commute, and few classes are cheaper to upsample.
        x = resized(self.high_classifier(x), low)
        return x + self.low_classifier(low)  # type: ignore[no-any-return]

    def classifiers(self) -> list[nn.Module]:
        """That of the coarse level and that of the fine one."""
        return [self.high_classifier, self.low_classifier]


class Fpn(Head):
    """Top-down sums of laterals from the coarsest level to the one that answers."""

    def __init__(self, pyramid: Pyramid, width: int, ends: tuple[int, int]) -> None:
        super().__init__(pyramid, width, ends)
        classes, stride = ends
        self.level = pyramid.fine(stride)
        # From the coarsest to the finest: a lateral's name is its distance from the top, so that
        # it stays the same role whatever the finest level is.
        self.laterals = nn.ModuleList(
            nn.Conv2d(channels, width, 1) for channels in reversed(pyramid.channels[self.level :])
        )
        self.smooth = nn.Sequential(
            ConvNorm(width, width, 3, groups=width), ConvNorm(width, width, 1)
        )
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) → logits (B, classes, H_fine, W_fine)."""
        top, *finer = reversed(list(maps)[self.level :])
        x = self.laterals[0](top)
        for lateral, level in zip(list(self.laterals)[1:], finer, strict=True):
            x = functional.interpolate(x, _size(level), mode="nearest") + lateral(level)
        return self.classifier(self.smooth(x))  # type: ignore[no-any-return]

    def classifiers(self) -> list[nn.Module]:
        """The one there is."""
        return [self.classifier]


HEADS: dict[str, type[Head]] = {"lraspp": LrAspp, "fpn": Fpn}


class ConvNorm(nn.Sequential):
    """Convolution, batch norm, ReLU; the size stays."""

    def __init__(self, width_in: int, width: int, kernel: int, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(width_in, width, kernel, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )


def resized(x: Tensor, like: Tensor | tuple[int, int]) -> Tensor:
    """(B, C, h, w) → (B, C, H, W) of `like`, bilinear; nothing is done where they are equal."""
    size = _size(like) if isinstance(like, torch.Tensor) else like
    if _size(x) == size:
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


def _size(x: Tensor) -> tuple[int, int]:
    """Plain numbers: an exported file has them as constants."""
    return int(x.shape[-2]), int(x.shape[-1])
