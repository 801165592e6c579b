"""Expected hypervolume improvement in closed form, held against draws."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from orchestrator_guided.improvement import Belief, Boxes, nondominated
from scipy.stats import norm

from orchestrator import Axis
from orchestrator.analysis import pareto

WORST = {2: np.array([1.0, 10.0]), 3: np.array([1.0, 10.0, 5.0])}


def some_front(objectives: int, seed: int) -> np.ndarray:
    """(n, k) points below the reference and beyond it."""
    points = np.random.default_rng(seed).uniform(0.2, 1.1, (8, objectives))
    return points * WORST[objectives]


def volume(points: np.ndarray) -> float:
    """Dominated below the reference, as a share of the whole."""
    worst = WORST[points.shape[1]]
    axes = [Axis(str(k), "", "minimize", float(bound)) for k, bound in enumerate(worst)]
    return pareto.hypervolume([{str(k): x for k, x in enumerate(p)} for p in points], axes)


def spread(mean: float, deviation: float, count: int = 300) -> np.ndarray:
    """As many values of a normal distribution, each as likely as the others."""
    return norm.ppf((np.arange(count) + 0.5) / count, mean, deviation)


def drawn_improvement(front: np.ndarray, losses: np.ndarray) -> float:
    before = volume(front)
    return float(np.mean([volume(np.vstack([front, draw])) - before for draw in losses]))


@pytest.mark.parametrize(("objectives", "seed"), [(2, 0), (2, 1), (3, 2)])
def test_the_closed_form_is_what_draws_come_to(objectives: int, seed: int) -> None:
    front = some_front(objectives, seed)
    mean, deviation, cheap = np.log(0.3), 0.4, 0.35 * WORST[objectives][1:]
    dear = np.exp(spread(mean, deviation))
    losses = np.column_stack([dear, np.tile(cheap, (len(dear), 1))])
    beliefs = [
        Belief(np.array([mean]), np.array([deviation]), logarithmic=True),
        *(Belief(np.array([cost])) for cost in cheap),
    ]
    found = Boxes(front, WORST[objectives]).expected(beliefs)
    assert found[0] == pytest.approx(drawn_improvement(front, losses), rel=0.02)


def test_two_dear_objectives_are_expected_together() -> None:
    front = some_front(2, 3)
    first, second = spread(0.4, 0.1, 30), np.exp(spread(np.log(3.0), 0.3, 30))
    beliefs = [
        Belief(np.array([0.4]), np.array([0.1])),
        Belief(np.array([np.log(3.0)]), np.array([0.3]), logarithmic=True),
    ]
    found = Boxes(front, WORST[2]).expected(beliefs)
    wanted = drawn_improvement(front, np.array(list(product(first, second))))
    assert found[0] == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("objectives", [2, 3])
def test_what_is_known_adds_just_its_own_volume(objectives: int) -> None:
    front = some_front(objectives, 4)
    new = 0.2 * WORST[objectives]
    beliefs = [Belief(np.array([loss])) for loss in new]
    wanted = volume(np.vstack([front, new])) - volume(front)
    assert Boxes(front, WORST[objectives]).expected(beliefs)[0] == pytest.approx(wanted)
    outside = [Belief(np.array([2 * bound])) for bound in WORST[objectives]]
    assert Boxes(front, WORST[objectives]).expected(outside)[0] == 0.0


def test_nothing_is_dominated_among_what_is_not() -> None:
    points = some_front(3, 5)
    kept = nondominated(np.vstack([points, points]))
    beaten = [((p <= q).all() and (p < q).any()) for p in points for q in kept]
    assert not any(beaten) and len(kept) == len(np.unique(kept, axis=0))
