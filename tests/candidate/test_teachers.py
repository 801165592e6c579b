"""Teachers that a configuration names: a bundle, the user's own network, or several."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toy_factory import factory, genotype

from orchestrator import Classes, Ensemble, ImageFacts, errors
from orchestrator.bundle import BundleContents, write_bundle
from orchestrator.candidate.teachers import check_teachers, load_teacher
from orchestrator.data import summarise
from orchestrator.plugins import installed

pytestmark = pytest.mark.usefixtures("toys")

FACTS = ImageFacts(8, 1, ("dark", "bright"), (0.5,), (0.5,), "CC0-1.0")
IMAGES = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
THEIRS = """
from torch import nn

def network(num_classes, in_chans):
    first = nn.Sequential(nn.Conv2d(in_chans, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(first, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, num_classes))
"""


@pytest.fixture
def own(tmp_path, monkeypatch) -> tuple[str, nn.Module]:
    """How a user names a network of theirs with trained weights, and that network."""
    (tmp_path / "their_teacher.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(1)
    network = import_module("their_teacher").network(2, 1).eval()
    torch.save(network.state_dict(), tmp_path / "theirs.pt")
    return f"their_teacher:network@{tmp_path / 'theirs.pt'}", network


def bundled(folder: Path) -> tuple[str, nn.Module]:
    made = factory(folder.parent)
    network = made.build(genotype()).eval()
    contents = BundleContents(genotype(), network, FACTS)
    return str(write_bundle(folder, contents)), network


def test_a_network_of_the_user_s_own_teaches_as_it_was_trained(own, tmp_path):
    told, network = own
    teacher = factory(tmp_path, teacher=told).teacher()
    torch.testing.assert_close(teacher(IMAGES), network(IMAGES))


def test_several_teachers_answer_by_the_mean_of_their_probabilities(own, tmp_path):
    (first, network), (second, other) = own, bundled(tmp_path / "bundle")
    teacher = factory(tmp_path, teacher=[first, second]).teacher()
    assert isinstance(teacher, Ensemble)
    expected = (network(IMAGES).softmax(1) + other(IMAGES).softmax(1)) / 2
    torch.testing.assert_close(teacher(IMAGES).softmax(1), expected)


def test_weights_of_another_network_are_refused(own, tmp_path):
    told, _ = own
    torch.save({"weight": torch.zeros(2, 2)}, tmp_path / "theirs.pt")
    with pytest.raises(errors.WeightsError, match=r"theirs\.pt does not fit their_teacher:network"):
        factory(tmp_path, teacher=told).teacher()


def test_a_network_without_a_file_of_weights_is_refused():
    with pytest.raises(errors.ConfigError, match=r"expected package\.module:factory@FILE"):
        check_teachers(["theirs:network@"], FACTS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": ("bright", "dark")}, "classes in another order .its class 0 is 'dark'"),
        ({"classes": ("dark", "light")}, "classes that the dataset has not, such as bright"),
        ({"in_channels": 3}, r"1 channels, expected the dataset's 3. Set dataset.in_channels=1"),
        ({"image_size": 9}, r"8 pixels a side, expected the dataset's 9. Set dataset.image_size=8"),
    ],
)
def test_a_teacher_that_would_teach_wrong_is_refused_with_the_reason(change, said, tmp_path):
    told, _ = bundled(tmp_path / "bundle")
    with pytest.raises(errors.ConfigError, match=said):
        check_teachers([told], replace(FACTS, **change))


def test_a_teacher_sees_images_normalised_as_its_own_were(tmp_path):
    _, network = bundled(tmp_path / "bundle")
    other = replace(FACTS, mean=(0.25,), deviation=(0.125,))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    given, own = (torch.from_numpy(facts.normalise(pixels)) for facts in (other, FACTS))
    teacher = load_teacher([str(tmp_path / "bundle")], other, Classes(2), installed())
    torch.testing.assert_close(teacher(given), network(own))
    (told,) = check_teachers([str(tmp_path / "bundle")], other)
    assert "normalised as its own were" in told


def test_a_teacher_of_other_images_is_told(tmp_path):
    made = factory(tmp_path)
    data = summarise(made.assembly.dataset)
    network = made.build(genotype()).eval()
    folder = write_bundle(tmp_path / "b", BundleContents(genotype(), network, FACTS, data=data))
    assert check_teachers([str(folder)], FACTS, data) == []
    others = replace(data, fingerprints={"train": "0" * 16})
    (told,) = check_teachers([str(folder)], FACTS, others)
    assert "was trained on other images" in told and "0000" in told


def test_a_teacher_of_other_classes_is_refused_before_anything_is_paid(tmp_path):
    told, _ = bundled(tmp_path / "bundle")
    three = ImageFacts(8, 1, ("a", "b", "c"), (0.5,), (0.5,), "CC0-1.0")
    with pytest.raises(errors.ConfigError, match="knows 2 classes, expected the dataset's 3"):
        check_teachers([told], three)
