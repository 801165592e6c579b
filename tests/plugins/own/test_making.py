"""The user's factory is found, told what it asks for, and named where it is wrong."""

from __future__ import annotations

import sys

import pytest
from orchestrator_own.anatomy import anatomy
from orchestrator_own.making import Wanted, check_source, make, takes
from orchestrator_own.space import OwnNetwork
from orchestrator_own.timm_weights import trained_on

from orchestrator import Classes, ImageFacts
from orchestrator.errors import BuildError, ConfigError

WANTED = Wanted(classes=7, in_channels=1, image_size=16)
CODE = """
from torch import nn

def by_name(*, n_classes, img_size, in_chans=3):
    return nn.Linear(in_chans * img_size, n_classes)

def by_place(a, b):
    return nn.Linear(b, a)

def asks_more(classes, depth):
    return nn.Linear(1, classes)

def nothing():
    return None

def exits(classes):
    raise SystemExit(0)

def raises(classes):
    raise ValueError("no such depth")

def seven(classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7))

class Pair(nn.Module):
    def forward(self, images):
        return images, images

WIDTHS = iter((8, 16, 24, 32))

def drawn(classes, in_channels):
    width = next(WIDTHS)
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, classes),
    )

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "their_nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("their_nets", None)


def test_arguments_go_by_their_names_whatever_these_are(folder):
    network = make("their_nets:by_name", WANTED)
    assert tuple(network.weight.shape) == (7, 16)
    assert takes("their_nets:by_name") == {"classes", "in_channels", "image_size"}


def test_two_arguments_of_other_names_are_classes_and_channels(folder):
    assert tuple(make("their_nets:by_place", WANTED).weight.shape) == (7, 1)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("their_nets", "package.module:factory"),
        ("no_such_nets:make", "no_such_nets.*PYTHONPATH"),
        ("their_nets:by_nam", "did you mean 'by_name'"),
        ("their_nets:number", "expected a function or a class"),
        ("their_nets:asks_more", "needs depth"),
        ("../their_nets:by_name", "no name of a module"),
        ("os:abort", "'os' is Python's own"),
        ("their_nets.py:by_name", "did you mean their_nets:by_name"),
    ],
)
def test_a_source_that_is_none_is_told_with_what_to_do(folder, source, told):
    with pytest.raises(ConfigError, match=told):
        check_source(source)


def test_a_module_that_breaks_is_told_with_its_own_error(folder):
    (folder / "broken_nets.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=r"broken_nets.*ZeroDivisionError"):
        check_source("broken_nets:make")


def test_a_factory_that_gives_no_network_is_told(folder):
    with pytest.raises(BuildError, match=r"NoneType, expected a torch\.nn\.Module"):
        make("their_nets:nothing", WANTED)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("seven", "found 7 logits, expected 10"),
        ("Pair", "gives tuple, expected one tensor of logits"),
        ("exits", r"SystemExit\(0\)"),
        ("raises", "no such depth"),
        ("nothing", "gave NoneType"),
    ],
)
def test_a_network_that_cannot_be_searched_is_told_by_its_cause(folder, name, cause):
    with pytest.raises(ConfigError, match=cause) as told:
        anatomy(f"their_nets:{name}", 32)
    assert "image_size" not in str(told.value)


def test_a_module_that_exits_is_told(folder):
    (folder / "leaving_nets.py").write_text("raise SystemExit(0)\n")
    with pytest.raises(ConfigError, match=r"leaving_nets.*SystemExit"):
        check_source("leaving_nets:make")


class Largest:
    """Answers with the last choice."""

    def suggest_categorical(self, name, choices):
        return choices[-1]


def test_a_factory_that_draws_its_sizes_is_told_so(folder):
    space = OwnNetwork(network="their_nets:drawn", image_size=32)
    original = space.suggest(Largest())
    with pytest.raises(BuildError, match="another network each time"):
        space.build(original, ImageFacts.unnamed(32, in_channels=3), Classes(10))


def test_a_space_without_a_network_says_what_to_give():
    with pytest.raises(ConfigError, match=r"space\.network: must be given"):
        OwnNetwork()


def test_without_timm_its_networks_say_what_to_install(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install timm"):
        OwnNetwork(weights="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k")


def test_a_network_of_timm_lists_the_weights_that_timm_has_of_it():
    pytest.importorskip("timm", exc_type=ImportError)
    space = OwnNetwork(weights="timm/mobilenetv3_small_050.lamb_in1k", image_size=32)
    (checkpoint,) = space.pretrained().values()
    assert checkpoint.locations[0] == "hf://timm/mobilenetv3_small_050.lamb_in1k/model.safetensors"
    assert (checkpoint.member, checkpoint.classes) == ("original", 1000)
    assert len(space.anatomy.widths) > 20


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("augreg_in21k_ft_in1k", "ImageNet-21k, then ImageNet-1k (research use"),
        ("lamb_in1k", "ImageNet-1k (research use"),
        ("laion2b_ft_in12k", "LAION-2B, then ImageNet-12k (research use"),
        ("lvd142m", "LVD-142M"),
        ("somebody", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_tag_of_timm_tells_what_its_weights_were_trained_on(tag, data):
    assert trained_on(tag).startswith(data)
