"""The contract suite finds what is wrong with a space."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from orchestrator import Checkpoint, Classes, Published, SearchSpace
from orchestrator.plugins import installed
from orchestrator.testing.pretrained import check_pretrained
from orchestrator.testing.space import check_space
from orchestrator.training.building import draw_plain
from orchestrator.trials import FixedTrial


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


class Canonical(TwoNames):
    def canonical(self, architecture):
        return {"width": architecture["width"]}


def test_how_many_of_a_sample_coincide_is_told_where_the_space_has_one_form_for_them():
    with pytest.warns(UserWarning, match=r"sound: \d of 12 architectures build a network that"):
        check_space(Canonical(), samples=12)


def test_the_canonical_form_is_what_becomes_a_candidate():
    space, task = Canonical(), installed().create("task", "classification", {})
    keys = {
        draw_plain(space, task, FixedTrial({"width": 5, "colour": colour})).key for colour in (1, 2)
    }
    assert len(keys) == 1


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


FILE = Checkpoint("big", ("hf://nobody/big/w.safetensors",), "theirs", "MIT", "nobody", classes=9)


class Trained(Sound):
    """Its names are the numbers of `Sequential`, the file's begin with "their."."""

    file = FILE

    def published(self):
        return {"big": Published({"width": 8}, 32, "nobody")}

    def pretrained(self):
        return {"first": self.file}

    def translate(self, state, naming):
        return {name.removeprefix("their."): tensor for name, tensor in state.items()}


def file_of(classes):
    shapes = {"2.weight": (8, 3), "2.bias": (8,), "4.weight": (classes, 8), "4.bias": (classes,)}
    return {f"their.{name}": torch.empty(shape) for name, shape in shapes.items()}


def test_a_space_with_checkpoints_passes():
    check_space(Trained(preset="full"), samples=1)
    check_pretrained(Trained(preset="full"), {"first": file_of(9)})


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"member": "small"}, "first is of 'small', which sound does not publish"),
        ({"licence": ""}, "first needs its licence"),
        ({"credit": ""}, "first needs its credit"),
        ({"locations": ()}, "first needs its locations"),
        ({"locations": ("big.pth",)}, "first lies at 'big.pth', expected pkg://"),
        ({"sha256": "B0353104"}, "expected at most 64 digits 0-9a-f"),
        ({"mean": (0.5,)}, "normalises"),
        ({"options": {"colour": "red"}}, "does not take the options"),
    ],
)
def test_a_checkpoint_not_told_in_full_is_found(facts, message, monkeypatch):
    monkeypatch.setattr(Trained, "file", replace(FILE, **facts))
    with pytest.raises(AssertionError, match=message):
        check_pretrained(Trained(preset="full"))


def test_checkpoints_of_a_small_preset_are_refused():
    with pytest.raises(AssertionError, match="nobody publishes weights of a network scaled down"):
        check_pretrained(Trained(preset="small"))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (file_of(10), r"other shapes .*\(10, 8\), \(9, 8\)"),
        ({**file_of(9), "their.5.bias": torch.empty(1)}, r"lacks \['5.bias'\]"),
        ({"their.2.bias": torch.empty(8)}, r"the network has \['2.weight'.* more"),
    ],
)
def test_a_translation_to_other_names_or_shapes_is_found(state, message):
    with pytest.raises(AssertionError, match=message):
        check_pretrained(Trained(preset="full"), {"first": state})


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
