"""Slimming: what it learns to be important, and what it leaves out by that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from orchestrator_papers.importance import Linear
from orchestrator_papers.slimming import SlimmingSampler
from paper_searches import ACCURACY, COST, MS, Truth, asked_of, told

from orchestrator import Budget, Genotype, Ground, History, SamplerContext, Trial
from orchestrator.errors import PluginError

# What a block in each slot is worth, in points, and what it costs.
WORTH = {"a": 8, "b": 20, "c": 1, "d": 6, "e": 9, "f": 3, "g": 2, "h": 30}
PRICE = {"a": 2, "b": 2, "c": 1, "d": 4, "e": 1, "f": 1, "g": 5, "h": 4}
# By worth for cost.
PATH = ["abcdefh", "abdefh", "abefh", "abeh", "beh", "be", "b"]
LESSONS = 14
ONE_BY_ONE = 0.01


def draw(trial: Trial) -> Genotype:
    """Eight slots, each a block or nothing, and an activation that costs nothing."""
    trial.suggest_categorical("activation", ["relu", "swish"])
    used = [slot for slot in WORTH if trial.suggest_categorical(f"{slot}.used", [False, True])]
    return Genotype("slots", "small", {"used": used})


def used(genotype: Genotype) -> str:
    return "".join(genotype.architecture["used"])


def static(genotype: Genotype) -> dict[str, float]:
    return {"cost": 1.0 + sum(PRICE[slot] for slot in used(genotype))}


def truth(genotype: Genotype) -> dict[str, float]:
    return {**static(genotype), "accuracy": sum(WORTH[slot] for slot in used(genotype)) / 100}


SLOTS = Ground((ACCURACY, COST), draw, static)


def slimmed(folder: Path, on: Ground = SLOTS, of: Truth = truth, count: int = 6) -> list[str]:
    """So many networks after the lessons."""
    asked = asked_of(folder, SlimmingSampler(learn=LESSONS, step=ONE_BY_ONE), on)
    return [used(genotype) for genotype in told(asked, LESSONS + count, of)[LESSONS:]]


def test_it_learns_from_the_largest_network_and_what_chance_leaves_of_it(tmp_path: Path) -> None:
    asked = asked_of(tmp_path, SlimmingSampler(learn=LESSONS), SLOTS)
    lessons = [used(genotype) for genotype in told(asked, LESSONS, truth)]
    assert lessons[0] == "abcdefgh"
    assert len(set(lessons)) == LESSONS
    assert all(any(slot not in lesson for lesson in lessons) for slot in WORTH)


def test_what_is_least_important_for_what_it_saves_goes_first(tmp_path: Path) -> None:
    found = slimmed(tmp_path)
    assert found == [network for network in PATH if network in found]
    assert len(found) == 6


def test_a_measured_latency_is_learnt_block_by_block(tmp_path: Path) -> None:
    def slow(genotype: Genotype) -> dict[str, float]:
        """The block that is worth most takes ten times as long as all others."""
        return {
            **truth(genotype),
            "latency_ms": 1.0 + 0.1 * len(used(genotype)) + 10 * ("h" in used(genotype)),
        }

    found = slimmed(tmp_path, replace(SLOTS, axes=(ACCURACY, MS)), slow)
    assert found[0] == "abcdefg"
    unguided = replace(SLOTS, axes=(ACCURACY, MS), static=lambda genotype: {})
    assert "abcdefg" in slimmed(tmp_path / "unguided", unguided, slow, 2)


def test_a_round_tries_each_kind_of_reduction_and_the_best_told_goes_on(tmp_path: Path) -> None:
    def widths(trial: Trial) -> Genotype:
        blocks = draw(trial).architecture["used"]
        operator = trial.suggest_categorical("operator", ["light", "heavy"])
        width = trial.suggest_int("width", 1, 4)
        return Genotype("slots", "small", {"used": blocks, "operator": operator, "width": width})

    def priced(genotype: Genotype) -> dict[str, float]:
        found = genotype.architecture
        heavy = 3 * (found["operator"] == "heavy")
        return {"cost": static(genotype)["cost"] + 2 * found["width"] + heavy}

    def judged(genotype: Genotype) -> dict[str, float]:
        """The operator is worth much, but in the largest network."""
        found = genotype.architecture
        whole = len(used(genotype)) == 8 and found["width"] == 4
        worth = 0.05 * found["width"] + 0.2 * (found["operator"] == "heavy" or whole)
        return {**priced(genotype), "accuracy": truth(genotype)["accuracy"] + worth}

    on = Ground((ACCURACY, COST), widths, priced)
    asked = asked_of(tmp_path, SlimmingSampler(learn=20, step=0.01), on)
    found = [g.architecture for g in told(asked, 27, judged)[20:]]
    shapes = [(len(each["used"]), each["operator"], each["width"]) for each in found]
    assert set(shapes[:3]) == {(7, "heavy", 4), (8, "heavy", 3), (8, "light", 4)}
    # It lost nothing there, whatever the lessons said.
    assert all(operator == "light" for _, operator, _ in shapes[3:])


def test_networks_over_a_static_budget_are_passed_but_never_proposed(tmp_path: Path) -> None:
    limited = replace(SLOTS, budgets={"cost": Budget(max=12.0)})
    asked = asked_of(tmp_path, SlimmingSampler(learn=LESSONS, step=ONE_BY_ONE), limited)
    found = told(asked, 40, truth)
    assert max(static(genotype)["cost"] for genotype in found) <= 12
    assert "abeh" in {used(genotype) for genotype in found[LESSONS:]}


def test_failures_do_not_end_a_descent(tmp_path: Path) -> None:
    def failing(genotype: Genotype) -> dict[str, float]:
        return {} if used(genotype) in PATH[:3] else truth(genotype)

    assert PATH[5] in slimmed(tmp_path, of=failing, count=9)


def test_while_results_are_out_it_goes_on_by_what_it_knows(tmp_path: Path) -> None:
    asked = asked_of(tmp_path, SlimmingSampler(learn=LESSONS, step=ONE_BY_ONE), SLOTS)
    told(asked, LESSONS, truth)
    out = [asked.propose() for _ in range(5)]
    found = [used(proposal.genotype) for proposal in out if proposal]
    assert found == [network for network in PATH if network in found]
    assert len(found) == 5


def test_after_a_descent_it_descends_again_by_what_that_taught(tmp_path: Path) -> None:
    """Two lessons teach little; what came of the first descent teaches the rest."""
    asked = asked_of(tmp_path, SlimmingSampler(learn=2, step=ONE_BY_ONE), SLOTS)
    assert set(PATH) <= {used(genotype) for genotype in told(asked, 40, truth)}


def test_what_an_earlier_search_was_told_needs_no_lesson(tmp_path: Path) -> None:
    asked = asked_of(tmp_path, SlimmingSampler(learn=LESSONS), SLOTS)
    told(asked, LESSONS, truth)
    known = [replace(record, earlier="before") for record in asked.records.values()]
    history = History(known, [], {record.genotype.key for record in known})
    context = SamplerContext(SLOTS, seed=7)
    choices = SlimmingSampler(learn=LESSONS, step=ONE_BY_ONE).propose(history, context)
    assert choices is not None
    assert used(context.draw(choices)) in PATH


def draw_operators(trial: Trial) -> Genotype:
    return Genotype("slots", "small", {"used": [trial.suggest_categorical("kind", ["a", "b"])]})


def test_a_space_of_which_nothing_can_be_left_out_is_told(tmp_path: Path) -> None:
    fixed = replace(SLOTS, draw=draw_operators, static=lambda g: {"cost": float(used(g) == "a")})
    with pytest.raises(
        PluginError, match=r"leaves out blocks and cuts widths.*lowers cost.*: kind\."
    ):
        asked_of(tmp_path, SlimmingSampler(), fixed)


def test_a_line_is_found_again_whatever_the_noise() -> None:
    draws = np.random.default_rng(0)
    rows = draws.normal(size=(60, 5))
    weights = np.array([1.0, -2.0, 0.0, 0.5, 0.0])
    found = Linear.fitted(rows, 3 + rows @ weights + draws.normal(scale=0.1, size=60))
    assert found.mean == pytest.approx(3, abs=0.1)
    assert found.weights == pytest.approx(weights, abs=0.1)
    assert Linear.fitted(rows[:1], np.array([0.7])).of(rows[5]) == 0.7
