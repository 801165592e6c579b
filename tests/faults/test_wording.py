"""What is wrong with a value is told in our words: what was found, expected, and what fits."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.config import check_config
from orchestrator.contracts._options import checked_options
from orchestrator.errors import ConfigError, plural

LEAST: dict[str, Any] = {
    **{part: {"name": "x"} for part in ("space", "dataset", "estimator", "sampler")},
    "device": {"here": {"name": "x"}},
    "objective": {"params": {"name": "params"}},
}


class Options:
    def __init__(self, *, count: int = 3, uri: str | None = None, sides: tuple[int, ...]) -> None:
        pass


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": -1}, "found -1, expected a number greater than 0. One that fits is train.ep"),
        ({"epochs": 1e20}, "train.epochs: found 1e+20, expected an integer."),
        ({"adapt": 5}, "found 5, expected true or false. One that fits is train.adapt=false."),
        (
            {"optimizer": "adam"},
            "expected 'adamw' or 'sgd'. One that fits is train.optimizer=adamw",
        ),
        ({"scales": []}, "train.scales: found [], expected at least 1 of them."),
        ({"scales": [2]}, "train.scales.0: found 2, expected a number of at most 1."),
        ({"early_stop": {"margin": "x"}}, "One that fits is train.early_stop.margin=0.03."),
        (5, "train: found 5, expected names and values. Change it, or leave it out."),
    ],
)
def test_a_wrong_value_is_told_with_one_that_fits(wrong: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_config({**LEAST, "train": wrong})
    assert told in str(caught.value) and "Input should" not in str(caught.value)


def test_a_wrong_member_of_a_list_is_not_told_as_missing_too() -> None:
    with pytest.raises(ConfigError) as caught:
        check_config({**LEAST, "train": {"scales": [2]}})
    assert len(str(caught.value).splitlines()) == 1


def test_what_may_be_several_things_is_told_once() -> None:
    device = {"here": {"name": "x", "runtime": 5}}
    with pytest.raises(ConfigError) as caught:
        check_config({**LEAST, "teacher": 5, "device": device})
    assert sorted(str(caught.value).splitlines()) == [
        "device.here.runtime: found 5, expected 'auto' or a list. Change it, or leave it out.",
        "teacher: found 5, expected a text or a list. Change it, or leave it out.",
    ]


def test_options_of_plugins_are_told_alike_short_and_without_passwords() -> None:
    given = {"count": "http://me:S3cret@host/" + "x" * 5000, "uri": 5}
    with pytest.raises(ConfigError) as caught:
        checked_options(Options, given, "space")
    count, uri, sides = str(caught.value).splitlines()
    assert count.startswith("space.count: found 'http://***@host/") and len(count) < 400
    assert count.endswith("expected an integer. One that fits is space.count=3.")
    assert uri == "space.uri: found 5, expected a text. Change it, or leave it out."
    assert sides == "space.sides: found nothing, expected a value. Give it, as space.sides=VALUE."


def test_rare_classes_are_made_up_for_once() -> None:
    twice = {"sampling": "balanced", "class_weights": "balanced"}
    with pytest.raises(ConfigError, match=r"train\.class_weights: balanced beside train\.sampling"):
        check_config({**LEAST, "train": twice})


def test_several_of_a_thing_are_told_as_several() -> None:
    things = ("class", "entry", "epoch", "batch", "way")
    assert [plural(1, thing) for thing in things] == [f"1 {thing}" for thing in things]
    several = [plural(1200, thing).removeprefix("1,200 ") for thing in things]
    assert several == ["classes", "entries", "epochs", "batches", "ways"]
