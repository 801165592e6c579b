"""What families have in common."""

from __future__ import annotations

import pytest
from orchestrator_spaces import orchestrator_search_spaces
from orchestrator_spaces.blocks.members import by_stage, scaled
from orchestrator_spaces.blocks.questions import Range, choose
from orchestrator_spaces.mobilenetv3 import MobileNetV3Space
from orchestrator_spaces.swin import SwinSpace

from orchestrator import ImageFacts, Maps, Published
from orchestrator.errors import BuildError
from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial, RandomTrial


def point(space):
    return space.suggest(FixedTrial(next(iter(space.published().values())).choices))


@pytest.mark.parametrize("family", [offer.name for offer in orchestrator_search_spaces()])
def test_a_classifier_is_not_built_for_maps(family):
    space = installed().create("space", family, {"preset": "small"})
    with pytest.raises(BuildError, match=r"found Maps\(count=3, stride=4\)"):
        space.build(point(space), ImageFacts.unnamed(32), Maps(3, stride=4))


@pytest.mark.parametrize(("preset", "lowest", "count"), [("small", 0.5, 3), ("full", 0.5, 5)])
def test_resolutions_are_those_of_the_preset(preset, lowest, count):
    space = MobileNetV3Space(preset=preset)
    asked = {space.ask_resolution(RandomTrial(seed)) for seed in range(60)}
    assert (min(asked), max(asked), len(asked)) == (lowest, 1.0, count)


def test_a_network_works_at_a_multiple_of_its_step():
    space = SwinSpace()
    architecture = point(space)
    image = space.image(architecture, ImageFacts.unnamed(33, in_channels=1))
    assert (image.in_channels, image.size, image.side) == (1, 33, 32)


def test_one_answer_is_no_question():
    trial = RandomTrial(0)
    assert (choose(trial, "kernel", (3,)), Range(4, 4).ask(trial, "depth")) == (3, 4)
    assert trial.choices == {}
    assert choose(trial, "kernel", (3, 5)) == trial.choices["kernel"]
    assert Range(2, 6, 2).ask(trial, "depth") == trial.choices["depth"]


def test_members_are_told_stage_by_stage_and_scaled():
    choices = by_stage(width=(8, 16), depth=(1, 2))
    assert choices == {
        "stages.0.width": 8,
        "stages.1.width": 16,
        "stages.0.depth": 1,
        "stages.1.depth": 2,
    }
    members = scaled("A 2020", "narrower", {"s": choices})
    assert members == {"s-small": Published(choices, 32, "scaled from A 2020: narrower")}
