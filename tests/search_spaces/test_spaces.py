"""Every family passes the contract suite in both presets."""

from __future__ import annotations

import pytest
import yaml
from orchestrator_spaces import orchestrator_search_spaces

from orchestrator import ImageFacts, SearchSpace
from orchestrator.paths import config_dir
from orchestrator.plugins import installed
from orchestrator.testing.outline import check_outline
from orchestrator.testing.space import check_space
from orchestrator.trials import RandomTrial

FAMILIES = [offer.name for offer in orchestrator_search_spaces()]
# Patches of 32 px: only on images this large does each resolution give another number of them.
LARGE_PATCHES = {"deit": 224, "vit": 224}


def space(family: str, preset: str = "small") -> SearchSpace:
    made: SearchSpace = installed().create("space", family, {"preset": preset})
    return made


def full_size(family: str) -> int:
    """The lowest resolution halves the side, and the networks' total stride is 32."""
    return LARGE_PATCHES.get(family, 64)


@pytest.mark.parametrize("family", FAMILIES)
def test_small_preset_passes_the_suite(family):
    check_space(space(family), samples=5)


@pytest.mark.parametrize("family", FAMILIES)
def test_full_preset_passes_the_suite(family):
    check_space(space(family, "full"), image_size=full_size(family), samples=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_objective_by_shapes_says_the_same_of_outlines_and_networks(family):
    found = space(family)
    architecture = found.suggest(RandomTrial(1))
    assert found.outlined(architecture)
    check_outline(found, architecture, ImageFacts.unnamed(32))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_small_samples_pass_the_suite(family):
    check_space(space(family), samples=200, thorough=True)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_many_full_samples_pass_the_suite(family):
    check_space(space(family, "full"), image_size=full_size(family), samples=40)


@pytest.mark.parametrize("image_size", [16, 28, 64])
@pytest.mark.parametrize("family", FAMILIES)
def test_small_preset_takes_other_image_sizes_and_grey_images(family, image_size):
    check_space(space(family), classes=3, in_channels=1, image_size=image_size, samples=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_yaml_of_a_family_builds_its_space(family):
    options = yaml.safe_load((config_dir() / "space" / f"{family}.yaml").read_text())
    made = installed().create("space", options.pop("name"), options)
    assert (made.name, made.preset) == (family, "small")
