from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_objectives.counting import ExactCounter, executed
from orchestrator_objectives.memory_access import MemoryAccess, elements_moved
from torch import Tensor, nn
from torch.nn import functional as F

from orchestrator import Genotype, Subject
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

SHAPE = (12, 8, 8)
MAP = 12 * 64


def moved(network: nn.Module, shape: tuple[int, int, int] = SHAPE) -> float:
    return MemoryAccess().measure(subject(network, shape))


def subject(network: nn.Module, shape: tuple[int, int, int]) -> Subject:
    return Subject(Genotype("toy", "small", {}), network, shape)


class Does(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_1x1_convolution_follows_the_papers_formula(groups: int) -> None:
    network = nn.Sequential(nn.Conv2d(12, 20, 1, groups=groups, bias=False))

    assert moved(network) == 64 * (12 + 20) + 12 * 20 / groups


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(12, 20, 3, stride=2, padding=1), MAP + 20 * 16 + 20 * 12 * 9 + 20),
        (nn.Conv2d(12, 12, 5, padding=2, groups=12, bias=False), 2 * MAP + 12 * 25),
        (nn.Linear(8, 5), 96 * 8 + 96 * 5 + 8 * 5 + 5),
        (nn.ReLU(), 2 * MAP),
        (nn.ReLU(inplace=True), 2 * MAP),
        (nn.Hardswish(), 2 * MAP),
        (nn.MaxPool2d(2), MAP + MAP // 4),
        (nn.AdaptiveAvgPool2d(1), MAP + 12),
        (nn.LayerNorm((8, 8)), 2 * MAP + 2 * 64),
        (nn.Flatten(), 0),
        (nn.Dropout(), 0),
        (nn.BatchNorm2d(12), 0),
        (nn.Softmax(-1), 2 * MAP),
        (Does(lambda x: x + x.flip(1)), 2 * MAP + 3 * MAP),
        (Does(lambda x: x * x.mean((2, 3), keepdim=True)), MAP + 12 + 2 * MAP + 12),
        (Does(lambda x: torch.cat(x.chunk(2, 1), 1)), 2 * MAP),
        (Does(lambda x: x.transpose(1, 2).contiguous()), 2 * MAP),
        (Does(lambda x: x @ x.transpose(-1, -2)), 3 * MAP),
    ],
)
def test_an_operator_moves_its_inputs_its_weights_and_its_output(
    layer: nn.Module, expected: int
) -> None:
    assert moved(nn.Sequential(layer)) == expected


def test_attention_is_its_two_products_and_what_lies_between() -> None:
    queries, scores = 12 * 8 * 8, 12 * 8 * 8
    attention = Does(lambda x: (x @ x.transpose(-1, -2)).softmax(-1) @ x)

    assert moved(attention) == (2 * queries + scores) + 2 * scores + (scores + 2 * queries)


def test_fused_attention_moves_no_less_than_its_products() -> None:
    fused = Does(lambda x: F.scaled_dot_product_attention(x, x, x))

    assert moved(fused) >= 6 * MAP


def test_equal_widths_move_least_at_given_multiply_adds() -> None:
    """The paper's first guideline."""
    shapes = [(24, 24), (12, 48), (6, 96)]
    networks = [nn.Sequential(nn.Conv2d(a, b, 1, bias=False)) for a, b in shapes]
    costs = [moved(net, (a, 8, 8)) for net, (a, _) in zip(networks, shapes, strict=True)]

    assert costs == sorted(costs)


def test_a_residual_block_is_the_sum_of_its_parts() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(12, 12, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(12)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x + self.norm(self.conv(x)))

    assert moved(nn.Sequential(Block())) == (2 * MAP + 12 * 12 * 9) + 3 * MAP + 2 * MAP


def test_what_is_remembered_of_other_networks_changes_nothing() -> None:
    space = installed().create("space", "shufflenetv2", {"preset": "small"})
    size = {"classes": 10, "in_channels": 3, "image_size": 32}
    networks = [fresh(space, space.suggest(RandomTrial(seed)), **size) for seed in range(4)]
    counter = ExactCounter(elements_moved)

    remembered = [counter.count(network, (3, 32, 32)) for network in networks]

    plainly = [executed(network, (3, 32, 32), counter._counted) for network in networks]
    assert remembered == plainly


def test_the_kinds_of_operators_are_told_apart_and_add_up() -> None:
    network = nn.Sequential(
        nn.Conv2d(12, 4, 1, bias=False), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(4, 2)
    )
    told = MemoryAccess().explain(subject(network, SHAPE))

    assert told == {
        "convolutions": 64 * 16 + 48,
        "elementwise": 2 * 256,
        "others": 256 + 4,
        "matrix products": 4 + 2 + 8 + 2,
    }
    assert sum(told.values()) == moved(network)
