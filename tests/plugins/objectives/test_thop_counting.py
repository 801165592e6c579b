from __future__ import annotations

import pytest
import torch
from orchestrator_objectives.macs import MultiplyAdds
from orchestrator_objectives.thop_counting import count_by_thop
from torch import Tensor, nn
from torch.nn import functional as F

from orchestrator import Genotype, Subject
from orchestrator.errors import BuildError

SHAPE = (4, 8, 8)


class Norm(nn.LayerNorm):
    """A subclass, which thop does not know."""


class Product(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ x.transpose(-1, -2)


class Functional(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, torch.zeros(6, 4, 3, 3, device=x.device))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(4, 6, 3), 36 * 6 * 36),
        (nn.Linear(8, 5), 32 * 40),
        (nn.BatchNorm2d(4), 4 * 256),
        (Norm(8), 4 * 256),
        (nn.GroupNorm(2, 4, affine=False), 2 * 256),
        (nn.Hardswish(), 3 * 256),
        (nn.SiLU(), 4 * 256),
        (nn.GELU(), 5 * 256),
        (nn.ReLU(), 0),
        (Product(), 4 * 8 * 8 * 8),
        (Functional(), 36 * 6 * 36),
    ],
)
def test_each_operation_counts_by_the_convention(layer: nn.Module, expected: int) -> None:
    assert count_by_thop(nn.Sequential(layer), SHAPE) == expected


def test_attention_inside_a_layer_is_counted_once() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)

    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1, 2)  # (B, 32, 8)
            return self.attention(x, x, x, need_weights=False)[0]

    projections, products = 4 * 32 * 8 * 8, 2 * 32 * 32 * 8
    assert count_by_thop(Attend(), SHAPE) == projections + products


def test_thop_leaves_no_trace() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)).train()
    network[1].eval()

    count_by_thop(network, SHAPE)

    assert [module.training for module in network.modules()] == [True, True, False]
    assert not any("total_ops" in name for name, _ in network.named_buffers())
    assert not network[0]._forward_hooks


def test_both_counters_and_a_reason_are_explained() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))
    subject = Subject(Genotype("toy", "small", {}), network, SHAPE)

    explanation = MultiplyAdds(counter="thop").explain(subject)

    assert explanation["exact"] == 36 * 6 * 36
    assert explanation["thop"] == MultiplyAdds(counter="thop").measure(subject)
    assert "BatchNorm" in str(explanation["why"])


def test_a_network_that_does_not_fit_is_a_build_error() -> None:
    with pytest.raises(BuildError, match="image size and channels"):
        count_by_thop(nn.Conv2d(5, 4, 3), SHAPE)
