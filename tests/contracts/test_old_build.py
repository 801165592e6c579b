"""Spaces and callers that know the old form of `build` go on, and are told the new one."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from torch import nn
from toys import ToyData

from orchestrator import Classes, ImageFacts, Maps, SearchSpace
from orchestrator.errors import BuildError
from orchestrator.records import Genotype
from orchestrator.testing.space import check_space
from orchestrator.training.building import build_network

FACTS = ImageFacts.unnamed(16, in_channels=1, classes=3)


class Old(SearchSpace):
    """As a third party wrote it."""

    name = "old"

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {"width": trial.suggest_int("width", 2, 4)}

    def build(
        self, architecture: Any, *, classes: int, in_channels: int, image_size: int
    ) -> nn.Module:
        width = architecture["width"]
        layers = [nn.Flatten(), nn.Linear(in_channels * image_size**2, width)]
        return nn.Sequential(*layers, nn.Linear(width, classes))


class Wider(Old):
    """An old child of an old space."""

    def build(self, architecture: Any, **sizes: Any) -> nn.Module:
        return super().build({"width": architecture["width"] + 1}, **sizes)


class New(SearchSpace):
    name = "new"

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {}

    def build(self, architecture: Any, facts: ImageFacts, outputs: Any) -> nn.Module:
        layers = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(facts.in_channels, outputs.count))


def sizes(network: Any) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in network.parameters() if parameter.dim() > 1]


@pytest.mark.parametrize(("space", "width"), [(Old, 2), (Wider, 3)])
def test_an_old_space_is_built_and_told_what_build_is_now(space: type, width: int) -> None:
    with pytest.warns(DeprecationWarning, match=r"old build.*facts: ImageFacts") as told:
        network = space().build({"width": 2}, FACTS, Classes(5))
    assert sizes(network) == [(width, 256), (5, width)]
    assert [warning.filename for warning in told] == [__file__]


def test_an_old_space_is_built_from_a_genotype() -> None:
    genotype = Genotype("old", "small", {"width": 4})
    with pytest.warns(DeprecationWarning, match="old build"):
        network = build_network(Old(), genotype, ToyData().facts, seed=0)
    assert sizes(network) == [(4, 64), (2, 4)]


def test_an_old_space_passes_the_suite() -> None:
    with pytest.warns(DeprecationWarning, match="old build"):
        check_space(Old(), image_size=8, samples=2)


def test_an_old_call_is_answered_and_told_what_build_is_now() -> None:
    with pytest.warns(DeprecationWarning, match="called in its old form") as told:
        network = New().build({}, classes=3, in_channels=4, image_size=8)  # type: ignore[call-arg]
    assert sizes(network) == [(3, 4)]
    assert [warning.filename for warning in told] == [__file__]


def test_the_new_form_says_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        New().build({}, FACTS, Classes(3))
        New().build({}, facts=FACTS, outputs=Classes(3))


def test_an_old_space_builds_no_maps() -> None:
    with pytest.raises(BuildError, match="classifiers only"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Old().build({"width": 2}, FACTS, Maps(3, stride=8))
