"""Teachers that a configuration names: a bundle, the user's own network, or several."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_factory import factory, genotype

from orchestrator import Ensemble, ImageFacts, errors
from orchestrator.bundle import BundleContents, write_bundle
from orchestrator.candidate.teachers import check_teachers

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


def test_a_teacher_of_other_classes_is_refused_before_anything_is_paid(tmp_path):
    told, _ = bundled(tmp_path / "bundle")
    three = ImageFacts(8, 1, ("a", "b", "c"), (0.5,), (0.5,), "CC0-1.0")
    with pytest.raises(errors.ConfigError, match="knows 2 classes, expected the dataset's 3"):
        check_teachers([told], three)
