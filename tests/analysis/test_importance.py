from __future__ import annotations

import random

from orchestrator.analysis.importance import effects


def shares(choices, values):
    return {effect.choice: effect.share for effect in effects(choices, values)}


def test_the_choice_that_decides_comes_first_and_noise_counts_for_little():
    draw = random.Random(0)
    choices = [{"kernel": draw.choice([3, 5]), "noise": draw.choice("abcd")} for _ in range(60)]
    values = [c["kernel"] + draw.gauss(0, 0.2) for c in choices]
    found = shares(choices, values)
    assert next(iter(found)) == "kernel"
    assert found["kernel"] > 0.9
    assert found["noise"] < 0.1


def test_chance_is_not_mistaken_for_importance_on_average():
    draw = random.Random(1)
    totals = []
    for _ in range(100):
        choices = [{"many": draw.randrange(6)} for _ in range(20)]
        totals.append(shares(choices, [draw.random() for _ in choices]).get("many", 0.0))
    assert sum(totals) / len(totals) < 0.1


def test_a_conditional_choice_does_not_inherit_its_parent_s_weight():
    draw = random.Random(2)
    choices: list[dict[str, int]] = [{"attention": row % 2 == 0} for row in range(60)]
    for answers in choices[::2]:
        answers["heads"] = draw.choice([2, 4, 8])
    values = [10.0 * c["attention"] + 0.1 * draw.random() for c in choices]
    found = shares(choices, values)
    assert found["attention"] > 0.95
    assert found["heads"] < 0.01


def test_many_numbers_are_gathered_into_ranges():
    choices = [{"ratio": row / 40} for row in range(40)]
    (effect,) = effects(choices, [row / 40 for row in range(40)])
    assert effect.share > 0.85
    assert [level.count for level in effect.levels] == [10, 10, 10, 10]
    assert effect.levels[0].text == "0 … 0.244"


def test_levels_are_in_order_and_carry_their_mean():
    choices = [{"width": width} for width in (1.0, 0.5, 1.0, 0.5, 1.0, 0.5)]
    (effect,) = effects(choices, [2, 1, 2, 1, 2, 1])
    assert [(level.text, level.mean) for level in effect.levels] == [("0.5", 1.0), ("1", 2.0)]
    assert effect.share == 1.0


def test_too_few_candidates_or_a_constant_objective_explain_nothing():
    choices = [{"width": row % 2} for row in range(8)]
    assert effects(choices[:5], [1, 2, 3, 4, 5]) == []
    assert effects(choices, [1.0] * 8) == []
    assert effects([{"same": 1}] * 8, range(8)) == []
