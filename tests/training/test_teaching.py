"""A teacher that remembers what it was asked."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from orchestrator import Teacher

IMAGES = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def test_images_that_come_again_cost_no_second_forward(network):
    teacher = Teacher(network, memory_bytes=10_000)
    first, again = teacher(IMAGES), teacher(IMAGES.flip(0))
    assert teacher.images_asked == 6
    torch.testing.assert_close(again.flip(0), first)


def test_only_those_that_are_new_are_asked_about(network):
    teacher = Teacher(network, memory_bytes=10_000)
    teacher(IMAGES[:4])
    found = teacher(IMAGES)
    assert teacher.images_asked == 6
    torch.testing.assert_close(found, network(IMAGES).detach())


def test_without_memory_every_image_is_asked_about(network):
    teacher = Teacher(network)
    teacher(IMAGES)
    teacher(IMAGES)
    assert teacher.images_asked == 12


def test_memory_that_is_full_keeps_what_it_has_and_answers_all(network):
    teacher = Teacher(network, memory_bytes=2 * (3 * 4 + 16))
    teacher(IMAGES)
    found = teacher(IMAGES)
    assert teacher.images_asked == 6 + 4
    torch.testing.assert_close(found, network(IMAGES).detach())


def test_a_changed_pixel_is_another_image(network):
    teacher = Teacher(network, memory_bytes=10_000)
    teacher(IMAGES)
    teacher(IMAGES + 0.01)
    assert teacher.images_asked == 12
