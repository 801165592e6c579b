"""What a training tells of itself: to a loss that looks on, and how long it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from footings import footing
from torch import Tensor, nn
from toys import ToyData

from orchestrator.config import TrainConfig
from orchestrator.training.batches import views_of
from orchestrator.training.epochs import TrainRun, train

PLAIN = TrainConfig(batch_size=8, crop_padding=0, mirror="off")


class Watched:
    """A loss that counts how often the network answered while it looked on."""

    def __init__(self, before: Any = None) -> None:
        self.before, self.seen = before, 0

    def __call__(self, images: Tensor, answer: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(answer, targets)

    @contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        def look(*_: object) -> None:
            self.seen += network.training

        hook = network.register_forward_hook(look)
        yield
        hook.remove()


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def test_a_loss_and_the_one_it_wraps_look_into_the_network_while_it_is_trained():
    inner = Watched()
    outer, net = Watched(before=inner), network()
    train(net, footing(ToyData()), PLAIN, TrainRun(epochs=2, seed=0, loss=outer))
    assert outer.seen == inner.seen == 2 * 32 // 8
    assert not net._forward_hooks
    assert net(torch.zeros(1, 1, 8, 8)).shape == (1, 2)


def test_a_training_ends_after_so_many_batches():
    watched = Watched()
    run = TrainRun(epochs=3, seed=0, loss=watched, steps=6)
    training = train(network(), footing(ToyData()), PLAIN, run)
    assert watched.seen == 6
    assert len(training.curve) == 2


@pytest.mark.parametrize(
    ("change", "views"),
    [
        ({}, 1),
        ({"mirror": "on"}, 2),
        ({"crop_padding": 1}, 9),
        ({"mixup_alpha": 0.2}, None),
        ({"crop_area": 0.5}, None),
        ({"augment": "trivial"}, None),
    ],
)
def test_how_many_images_training_makes_of_one_is_known(change: Any, views: int | None):
    assert views_of(ToyData(), replace(PLAIN, **change)) == views
