"""The contract suite finds what is wrong with a space."""

from __future__ import annotations

import pytest
from torch import nn

from orchestrator import Classes, Published, SearchSpace
from orchestrator.testing.space import check_space


class Sound(SearchSpace):
    """One hidden layer on the image's mean; the base of the broken spaces below."""

    name = "sound"

    def suggest(self, trial):
        return {"width": trial.suggest_int("width", 4, 8)}

    def build(self, architecture, facts, outputs):
        width = architecture["width"]
        layers = [
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(facts.in_channels, width),
            nn.ReLU(),
        ]
        return nn.Sequential(*layers, nn.Linear(width, outputs.count))


class Idle(Sound):
    def suggest(self, trial):
        trial.suggest_categorical("colour", ["red", "blue"])
        return super().suggest(trial)


class TwoNames(Sound):
    def suggest(self, trial):
        return {**super().suggest(trial), "colour": trial.suggest_categorical("colour", [1, 2])}


class Tuples(Sound):
    def suggest(self, trial):
        return {**super().suggest(trial), "pair": (1, 2)}


class ChangingChoices(Sound):
    def suggest(self, trial):
        width = trial.suggest_int("width", 4, 8)
        return {"width": width, "more": trial.suggest_categorical("more", list(range(width)))}


class OneAnswer(Sound):
    def suggest(self, trial):
        trial.suggest_categorical("only", ["this"])
        return super().suggest(trial)


class WrongShape(Sound):
    def build(self, architecture, facts, outputs):
        return super().build(architecture, facts, Classes(outputs.count + 1))


class NoPoint(Sound):
    def published(self):
        return {"big": Published({"width": 99}, 32, "nobody")}


class WrongCount(Sound):
    def published(self):
        return {"big": Published({"width": 8}, 32, "nobody", params=1)}


def test_a_sound_space_passes():
    check_space(Sound(), samples=4)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Idle, "colour: .* leaves the architecture as it was"),
        (TwoNames, "two architectures give the same network|leaves the network as it was"),
        (Tuples, "no tuples"),
        (ChangingChoices, "always comes with the same choices"),
        (OneAnswer, "only has one answer"),
        (WrongShape, r"shape \(4, 11\), expected \(4, 10\)"),
        (NoPoint, "big is no point of sound"),
        (WrongCount, "published are 1"),
    ],
)
def test_a_broken_space_is_told_what_to_mend(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_space(broken(), samples=6)
