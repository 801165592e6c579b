"""Families with a pyramid give maps for dense tasks, under the names of their classifier."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from networks import fresh
from orchestrator_spaces import orchestrator_search_spaces
from torch import nn

from orchestrator import Classes, ImageFacts, Maps, SearchSpace
from orchestrator.errors import BuildError
from orchestrator.plugins import installed
from orchestrator.testing.features import check_features
from orchestrator.testing.space import check_space
from orchestrator.training.building import draw_plain
from orchestrator.trials import FixedTrial, RandomTrial

FAMILIES = [offer.name for offer in orchestrator_search_spaces()]
WITH_MAPS = ["efficientformer", "mobilenetv3"]


def space(family: str, preset: str = "small") -> SearchSpace:
    made: SearchSpace = installed().create("space", family, {"preset": preset})
    return made


def member(made: SearchSpace, name: str):
    return made.suggest(FixedTrial(made.published()[name].choices))


def test_a_family_serves_maps_or_says_that_it_gives_none():
    assert [family for family in FAMILIES if Maps in space(family).serves] == WITH_MAPS
    with pytest.raises(BuildError, match="mobilenetv2 gives no maps, it serves Classes"):
        space("mobilenetv2").features({}, ImageFacts.unnamed(32))


@pytest.mark.parametrize("size", [32, 75, 224])
@pytest.mark.parametrize(
    ("family", "preset", "name", "channels", "strides"),
    [
        ("mobilenetv3", "full", "large-1.0", (16, 24, 40, 112, 160), (2, 4, 8, 16, 32)),
        ("mobilenetv3", "full", "small-1.0", (16, 24, 48, 96), (4, 8, 16, 32)),
        ("mobilenetv3", "small", "large-small", (16, 24, 80), (2, 4, 8)),
        ("efficientformer", "full", "l1", (48, 96, 224, 448), (4, 8, 16, 32)),
        ("efficientformer", "small", "l1-small", (16, 24, 64), (2, 4, 8)),
    ],
)
def test_maps_at_the_end_of_stages(family, preset, name, channels, strides, size):
    made = space(family, preset)
    with torch.device("meta"):
        pyramid = made.features(member(made, name), ImageFacts.unnamed(size)).eval()
        maps = pyramid(torch.empty(2, 3, size, size))
    assert (pyramid.channels, pyramid.strides, pyramid.side) == (channels, strides, size)
    sides = [-(-size // stride) for stride in strides]
    assert [tuple(each.shape) for each in maps] == [
        (2, width, side, side) for width, side in zip(channels, sides, strict=True)
    ]


@pytest.mark.parametrize("family", WITH_MAPS)
def test_a_trained_classifier_fits_and_gives_the_same_last_map(family):
    made = space(family)
    architecture = member(made, next(iter(made.published())))
    classifier = fresh(made, architecture).eval()
    pyramid = made.features(architecture, ImageFacts.unnamed(32)).eval()
    missing, extra = pyramid.load_state_dict(classifier.state_dict(), strict=False)
    assert not missing and any(name.startswith("classifier.") for name in extra)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = classifier.stages(classifier.stem(images))
        assert torch.equal(pyramid(images)[-1], wanted)


def test_a_lower_resolution_gives_smaller_maps():
    made = space("mobilenetv3")
    architecture = {**member(made, "large-small"), "resolution": 0.5}
    pyramid = made.features(architecture, ImageFacts.unnamed(32)).eval()
    assert pyramid.side == 16
    assert [each.shape[-1] for each in pyramid(torch.zeros(1, 3, 32, 32))] == [8, 4, 2]


def test_images_below_the_total_stride_are_refused():
    made = space("mobilenetv3", "full")
    with pytest.raises(BuildError, match="at least 32 px expected"):
        made.features(member(made, "large-1.0"), ImageFacts.unnamed(31))


class Pyramid(nn.Module):
    channels: tuple[int, ...] = (4,)
    strides: tuple[int, ...] = (2,)

    def __init__(self, *, channels=(4,), classifier=False):
        super().__init__()
        self.channels, self.side = channels, 16
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        if classifier:
            self.classifier = nn.Linear(4, 10)

    def forward(self, images):
        self.side = images.shape[-1]
        return (self.stem(images),)


class Renamed(Pyramid):
    def __init__(self):
        super().__init__()
        self.body = self.stem
        del self.stem

    def forward(self, images):
        self.side = images.shape[-1]
        return (self.body(images),)


class OneMap(Pyramid):
    def forward(self, images):
        return super().forward(images)[0]


class Plain(nn.Module):
    def __init__(self, classes, *, bias=True):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.classifier = nn.Linear(4, classes, bias=bias)

    def forward(self, images):
        return self.classifier(self.stem(images).mean((2, 3)))


class Sound(SearchSpace):
    name = "sound"
    serves = frozenset({Classes, Maps})

    def suggest(self, trial):
        return {}

    def build(self, architecture, facts, outputs):
        return Plain(outputs.count)

    def features(self, architecture, facts):
        return Pyramid()


class WrongChannels(Sound):
    def features(self, architecture, facts):
        return Pyramid(channels=(8,))


class OtherNames(Sound):
    def features(self, architecture, facts):
        return Renamed()


class KeepsClassifier(Sound):
    def features(self, architecture, facts):
        return Pyramid(classifier=True)


class NotATuple(Sound):
    def features(self, architecture, facts):
        return OneMap()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WrongChannels, "channels and strides say"),
        (OtherNames, "no tensors of the classifier"),
        (KeepsClassifier, "hold the classifier's own parameters"),
        (NotATuple, "a tuple of maps"),
    ],
)
def test_the_suite_finds_what_is_wrong_with_features(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_features(broken(), {}, ImageFacts.unnamed(16))


def test_sound_features_pass_as_part_of_the_suite():
    check_space(Sound(), image_size=16, samples=1)
    with pytest.raises(AssertionError, match="channels and strides say"):
        check_space(WrongChannels(), image_size=16, samples=1)


class Wide(Sound):
    """One choice, of the classifier alone, that is not told to be."""

    def suggest(self, trial):
        return {"bias": trial.suggest_categorical("bias", [False, True])}

    def build(self, architecture, facts, outputs):
        return Plain(outputs.count, bias=architecture["bias"])


class Told(Wide):
    classifier_choices = frozenset({"bias"})


def test_choices_of_the_classifier_are_told():
    check_space(Told(), image_size=16, samples=1)
    with pytest.raises(AssertionError, match="name it in classifier_choices"):
        check_space(Wide(), image_size=16, samples=1)


@pytest.mark.parametrize("family", WITH_MAPS)
def test_a_task_on_features_is_not_asked_about_the_classifier(family):
    made = space(family, "full")
    trial = RandomTrial(0)
    task = SimpleNamespace(name="dense", on_features=True, suggest=lambda trial: {})
    genotype = draw_plain(made, task, trial)
    assert not made.classifier_choices & set(trial.choices)
    plain = RandomTrial(0)
    classifying = SimpleNamespace(name="classes", on_features=False, suggest=lambda trial: {})
    other = draw_plain(made, classifying, plain)
    assert made.classifier_choices <= set(plain.choices)
    assert genotype.architecture.keys() == other.architecture.keys()
