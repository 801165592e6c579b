from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from orchestrator.analysis.ranking import kendall, kendall_at


def test_the_same_order_is_one_and_the_opposite_minus_one() -> None:
    assert kendall([1, 2, 3, 4], [10, 20, 25, 90]) == 1.0
    assert kendall([1, 2, 3, 4], [4, 3, 2, 1]) == -1.0


def test_one_swapped_pair_of_six() -> None:
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)


def test_ties_are_treated_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 5, 12), rng.integers(0, 5, 12)
        assert kendall(a, b) == pytest.approx(kendalltau(a, b).statistic)


@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, math.nan], [1, 2, 3])]
)
def test_nothing_to_rank_is_none(a: list[float], b: list[float]) -> None:
    assert kendall(a, b) is None


def test_what_is_not_finite_takes_no_part() -> None:
    assert kendall([1, 2, math.inf, 3], [1, 2, 0, 3]) == 1.0


def test_a_figure_that_only_follows_cost_knows_nothing_at_given_cost() -> None:
    macs = [1e6, 2e6, 4e6, 8e6, 1.6e7]
    accuracy = [0.6, 0.72, 0.74, 0.83, 0.8]
    assert kendall([math.log2(m) for m in macs], accuracy) == pytest.approx(0.8)
    assert kendall_at([math.log2(m) for m in macs], accuracy, macs) is None


def test_what_is_known_beyond_cost_is_what_counts() -> None:
    macs = [1.0, 1.0, math.e, math.e]
    quality = [0.0, 1.0, 0.0, 1.0]
    a = [q - 5 * math.log(m) for q, m in zip(quality, macs, strict=True)]
    b = [q + 5 * math.log(m) for q, m in zip(quality, macs, strict=True)]
    assert kendall(a, b) == pytest.approx(-2 / 6)
    assert kendall_at(a, b, macs) == pytest.approx(1.0)


def test_equal_cost_changes_nothing() -> None:
    a, b = [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]
    assert kendall_at(a, b, [7.0] * 4) == kendall(a, b)


def test_three_points_and_no_cost_are_none() -> None:
    assert kendall_at([1, 2, 3], [1, 3, 2], [1, 2, 4]) is None
    assert kendall_at([1, 2, 3, 4], [1, 3, 2, 4], [1, 2, 4, 0]) is None
