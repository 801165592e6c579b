"""Networks are equal where nothing but the values of parameters sets them apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from orchestrator.training.structure import structure_of


class Holding(nn.Module):
    """Something as an attribute, and a buffer."""

    def __init__(self, held: Any, order: tuple[int, ...] = (0, 1)) -> None:
        super().__init__()
        self.held = held
        self.register_buffer("order", torch.tensor(order))


def tied() -> nn.Module:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    return nn.Sequential(first, second)


def test_weights_tell_nothing_apart() -> None:
    assert structure_of(nn.Linear(2, 3)) == structure_of(nn.Linear(2, 3)) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.Linear(2, 3), nn.Linear(3, 2)),
        (nn.ReLU(), nn.GELU()),
        (nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1, dilation=1, stride=2)),
        (Holding(1), Holding(True)),
        (Holding(torch.relu), Holding(torch.tanh)),
        (Holding(1, (0, 1)), Holding(1, (1, 0))),
        (tied(), nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))),
    ],
    ids=["shapes", "classes", "stride", "switch", "functions", "buffers", "tied"],
)
def test_what_computes_otherwise_is_told_apart(one: nn.Module, other: nn.Module) -> None:
    assert structure_of(one) != structure_of(other)


@pytest.mark.parametrize("held", [lambda x: x, object(), torch.zeros(2)])
def test_what_cannot_be_compared_passes_for_nothing(held: Any) -> None:
    assert structure_of(Holding(held)) is None


def test_a_hook_may_do_anything() -> None:
    network = nn.Linear(2, 2)
    network.register_forward_hook(lambda *_: None)
    assert structure_of(network) is None
