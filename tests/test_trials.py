from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import ConfigError
from orchestrator.trials import FixedTrial, RandomTrial, ScopedTrial, apart


def asked(trial: Any) -> tuple[Any, ...]:
    return (
        trial.suggest_categorical("kind", ["a", "b", True, 1]),
        trial.suggest_int("width", 8, 24, step=8),
        trial.suggest_float("share", 0.25, 0.75),
    )


def test_the_same_seed_draws_the_same_answers_as_ever() -> None:
    """Named points and shared paths of older runs were drawn with these."""
    assert asked(RandomTrial(3)) == ("b", 24, 0.5221146126479759)


def test_random_answers_are_answers_and_repeated_alike() -> None:
    kinds, widths = set(), set()
    for seed in range(40):
        trial = RandomTrial(seed)
        kind, width, share = asked(trial)
        assert asked(trial) == (kind, width, share)
        assert trial.choices == {"kind": kind, "width": width, "share": share}
        assert 0.25 <= share <= 0.75
        kinds.add((type(kind), kind))
        widths.add(width)
    assert len(kinds) == 4 and widths == {8, 16, 24}


def test_fixed_answers_are_given_and_kept() -> None:
    trial = FixedTrial({"kind": "b", "width": 16, "share": 0.5, "idle": 1})
    assert asked(trial) == ("b", 16, 0.5)
    assert "idle" not in trial.asked and len(trial.asked) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "c"}, r"kind='c' is not one of \['a', 'b', True, 1\]"),
        ({"width": 12}, "width=12 is not in 8…24 by 8"),
        ({"width": True}, "width=True is not in"),
        ({"share": 0.8}, r"share=0.8 is not in \[0.25, 0.75\]"),
    ],
)
def test_an_impossible_answer_is_named(change: dict[str, Any], message: str) -> None:
    known = {"kind": "a", "width": 8, "share": 0.5, **change}
    with pytest.raises(ConfigError, match=message):
        asked(FixedTrial(known))


def test_a_missing_answer_is_named() -> None:
    with pytest.raises(ConfigError, match="no answer is known for 'kind'"):
        asked(FixedTrial({}))


def test_a_scope_has_names_of_its_own() -> None:
    trial = RandomTrial(0)
    scoped = ScopedTrial(trial, "pruning", "b")
    scoped.suggest_categorical("pruning.ratio", [0, 1])
    scoped.suggest_int("depth", 1, 2)
    scoped.suggest_float("pruning.share", 0, 1)
    assert list(trial.choices) == ["b.ratio", "b.depth", "b.share"]


def test_a_scope_of_its_own_name_changes_nothing() -> None:
    trial = RandomTrial(0)
    ScopedTrial(trial, "pruning", "pruning").suggest_categorical("other", [0, 1])
    assert list(trial.choices) == ["other"]


def test_seeds_of_two_runs_are_apart() -> None:
    numbers = [apart(seed, number) for seed in range(3) for number in range(1000)]
    assert len(set(numbers)) == 3000
    assert apart(0, 5) == 5
