from __future__ import annotations

import pytest
import torch
from orchestrator_segmentation.heads import HEADS, Fpn, LrAspp, Pyramid, resized
from orchestrator_segmentation.network import Segmenter
from torch import Tensor
from toy_pyramid import ToyPyramid

from orchestrator import ImageFacts
from orchestrator.errors import BuildError

PYRAMID = Pyramid((8, 16, 24, 40), (2, 4, 8, 16))


def _maps(side: int = 64, batch: int = 2) -> list[Tensor]:
    return [
        torch.randn(batch, channels, int(side // stride), int(side // stride))
        for channels, stride in zip(PYRAMID.channels, PYRAMID.strides, strict=True)
    ]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(("stride", "side"), [(2, 32), (4, 16), (8, 8), (16, 8), (1, 32)])
def test_a_head_answers_at_the_level_of_its_stride(name: str, stride: int, side: int) -> None:
    head = HEADS[name](PYRAMID, 32, (7, stride))
    assert head(_maps()).shape == (2, 7, side, side)


@pytest.mark.parametrize(
    ("strides", "stride", "level"),
    [((2, 4, 8), 4, 1), ((4, 8), 4, 0), ((8, 16, 32), 4, 0), ((2, 4), 8, 0), ((2, 4, 8), 32, 1)],
)
def test_the_fine_level_is_the_coarsest_that_is_fine_enough(
    strides: tuple[int, ...], stride: int, level: int
) -> None:
    assert Pyramid((8,) * len(strides), strides).fine(stride) == level


def test_a_pyramid_of_one_level_is_refused() -> None:
    with pytest.raises(BuildError, match="has 1 level, expected two or more"):
        Pyramid((8,), (8,)).fine(4)


def test_lraspp_is_that_of_the_paper() -> None:
    """Context times gate of the coarse level upsampled, and the fine level, each classified."""
    head = LrAspp(PYRAMID, 16, (3, 4)).eval()
    maps = _maps()
    low, high = maps[1], maps[-1]
    gate = torch.sigmoid(head.gate[1](high.mean((2, 3), keepdim=True)))
    gated = resized(head.context(high) * gate, low)
    expected = head.high_classifier(gated) + head.low_classifier(low)
    assert torch.allclose(head(maps), expected, atol=1e-5)


def test_lraspp_has_the_parameters_of_its_layers() -> None:
    head = LrAspp(PYRAMID, 32, (7, 4))
    # context with batch norm, gate, classifier of the coarse and of the fine level
    expected = (40 * 32 + 2 * 32) + 40 * 32 + (32 * 7 + 7) + (16 * 7 + 7)
    assert sum(parameter.numel() for parameter in head.parameters()) == expected


def test_fpn_adds_laterals_from_the_top_down() -> None:
    head = Fpn(PYRAMID, 16, (3, 4)).eval()
    maps = _maps()
    x = head.laterals[0](maps[3])
    for lateral, level in ((1, 2), (2, 1)):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3) + head.laterals[lateral](maps[level])
    assert torch.allclose(head(maps), head.classifier(head.smooth(x)), atol=1e-5)
    assert len(head.laterals) == 3


@pytest.mark.parametrize("name", HEADS)
def test_every_level_a_head_uses_gets_a_gradient(name: str) -> None:
    maps = [level.requires_grad_() for level in _maps()]
    HEADS[name](PYRAMID, 32, (7, 4))(maps).sum().backward()  # type: ignore[no-untyped-call]
    used = {"lraspp": {1, 3}, "fpn": {1, 2, 3}}[name]
    assert {level for level, grown in enumerate(maps) if grown.grad is not None} == used


@pytest.mark.parametrize(("side", "stride", "expected"), [(64, 4, 16), (50, 4, 13), (33, 8, 5)])
def test_a_network_answers_at_its_stride_whatever_its_levels_are(
    side: int, stride: int, expected: int
) -> None:
    backbone = ToyPyramid(ImageFacts.unnamed(side), 8)
    pyramid = Pyramid(backbone.channels, backbone.strides)
    network = Segmenter(backbone, LrAspp(pyramid, 16, (5, stride)), stride)
    assert network(torch.zeros(2, 3, side, side)).shape == (2, 5, expected, expected)
