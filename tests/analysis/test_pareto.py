from __future__ import annotations

import itertools
import math
import random
import time

import pytest

from orchestrator.analysis.pareto import (
    dominates,
    front,
    hypervolume,
    hypervolume_history,
    knee,
    picks,
    spread,
)
from orchestrator.contracts.objective import Axis
from orchestrator.errors import ConfigError

ACCURACY = Axis("accuracy", "share", "maximize", reference=0.0)
LATENCY = Axis("latency_ms", "ms", "minimize", reference=10.0)
SIZE = Axis("size_bytes", "bytes", "minimize", reference=1e6)
BOX = [Axis(f"a{i}", "", "maximize", reference=0.0) for i in range(5)]


def point(accuracy, latency_ms, **more):
    return {"accuracy": accuracy, "latency_ms": latency_ms, **more}


def cloud(seed, count, axes):
    draw = random.Random(seed)
    return [{axis.name: draw.random() for axis in axes} for _ in range(count)]


def by_inclusion_exclusion(points, axes):
    """Sum over all subsets of the volume of their common box, with alternating sign."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for group in itertools.combinations(points, size):
            common = math.prod(min(p[axis.name] for p in group) for axis in axes)
            total += (-1) ** (size + 1) * common
    return total


def test_a_point_dominates_when_nowhere_worse_and_somewhere_better():
    axes = [ACCURACY, LATENCY]
    assert dominates(point(0.9, 2), point(0.9, 3), axes)
    assert not dominates(point(0.9, 2), point(0.9, 2), axes)
    assert not dominates(point(0.9, 3), point(0.8, 2), axes)


def test_front_is_ordered_by_the_first_axis_and_keeps_one_of_equals():
    points = [point(0.7, 1), point(0.9, 5), point(0.8, 6), point(0.9, 5), point(0.8, 3)]
    assert front(points, [ACCURACY, LATENCY]) == [1, 4, 0]
    assert front(points, [LATENCY, ACCURACY]) == [0, 4, 1]


def test_front_leaves_out_points_without_a_finite_value():
    points = [{"accuracy": 0.99}, point(math.nan, 1), point(0.5, math.inf), point(0.5, 4)]
    assert front(points, [ACCURACY, LATENCY]) == [3]
    assert front([], [ACCURACY, LATENCY]) == []


@pytest.mark.parametrize("seed", range(20))
def test_front_is_exactly_what_nothing_dominates(seed):
    axes = BOX[: 1 + seed % 5]
    draw = random.Random(seed)
    points = [{axis.name: draw.randrange(5) for axis in axes} for _ in range(40)]
    members = front(points, axes)
    free = [p for p in points if not any(dominates(q, p, axes) for q in points)]
    assert {tuple(points[i].values()) for i in members} == {tuple(p.values()) for p in free}
    assert len({tuple(points[i].values()) for i in members}) == len(members)


def test_hypervolume_of_one_point_is_the_product_of_its_gains():
    assert hypervolume([point(0.8, 5)], [ACCURACY, LATENCY]) == pytest.approx(0.4)
    assert hypervolume([point(0.8, 5)], [ACCURACY]) == pytest.approx(0.8)
    assert hypervolume([], [ACCURACY]) == 0.0


def test_points_beyond_the_reference_add_nothing():
    inside, slow = point(0.5, 5), point(0.99, 11)
    assert hypervolume([inside, slow], [ACCURACY, LATENCY]) == pytest.approx(0.25)
    assert hypervolume([slow], [ACCURACY, LATENCY]) == 0.0


@pytest.mark.parametrize("seed", range(25))
def test_hypervolume_agrees_with_inclusion_and_exclusion(seed):
    axes = BOX[: 1 + seed % 5]
    points = cloud(seed, 9, axes)
    points.append(dict(points[0]))
    assert hypervolume(points, axes) == pytest.approx(by_inclusion_exclusion(points, axes))


@pytest.mark.parametrize("seed", range(10))
def test_hypervolume_copes_with_ties(seed):
    axes, draw = BOX[: 2 + seed % 4], random.Random(seed)
    points = [{axis.name: draw.randrange(1, 4) / 4 for axis in axes} for _ in range(9)]
    assert hypervolume(points, axes) == pytest.approx(by_inclusion_exclusion(points, axes))


def test_hypervolume_agrees_with_sampling_on_a_larger_set():
    points, draw = cloud(3, 60, BOX[:4]), random.Random(4)
    rows = [tuple(p.values()) for p in points]
    hits = 0
    for _ in range(4000):
        probe = [draw.random() for _ in range(4)]
        hits += any(all(a >= b for a, b in zip(row, probe, strict=True)) for row in rows)
    assert hypervolume(points, BOX[:4]) == pytest.approx(hits / 4000, abs=0.03)


def test_two_hundred_points_on_four_axes_take_less_than_a_second():
    draw = random.Random(0)
    rows = [[draw.random() for _ in range(4)] for _ in range(200)]
    shell = [[v / math.hypot(*row) for v in row] for row in rows]
    points = [{f"a{i}": v for i, v in enumerate(row)} for row in shell]
    start = time.process_time()
    assert 0 < hypervolume(points, BOX[:4]) < 1
    assert time.process_time() - start < 1.0


def test_history_is_the_hypervolume_of_every_prefix():
    points = [{"a0": 2.0}, *cloud(7, 12, BOX[:3])]
    history = hypervolume_history(points, BOX[:3])
    prefixes = [hypervolume(points[: i + 1], BOX[:3]) for i in range(len(points))]
    assert history == pytest.approx(prefixes)
    assert history == sorted(history)


def test_the_ideal_defaults_to_zero_or_one_and_stays_better_than_the_reference():
    assert LATENCY.best == 0.0
    assert ACCURACY.best == 1.0
    assert Axis("throughput", "images/s", "maximize", reference=50.0).best == 51.0
    assert Axis("change", "ms", "minimize", reference=0.0).best == -1.0


def test_an_ideal_no_better_than_the_reference_is_refused():
    with pytest.raises(ConfigError, match="no better than reference"):
        Axis("latency_ms", "ms", "minimize", reference=5.0, ideal=6.0)


def test_knee_is_the_bulge_of_the_front():
    points = [point(0.5, 1), point(0.88, 2), point(0.9, 9), point(0.6, 1.8)]
    assert knee(points, [ACCURACY, LATENCY]) == 1
    assert knee([], [ACCURACY, LATENCY]) is None
    assert knee(points[:1], [ACCURACY, LATENCY]) == 0


def test_costs_that_move_together_do_not_outvote_accuracy():
    points = [point(0.5, 1, size_bytes=1e5), point(0.9, 4, size_bytes=4e5)]
    points.append(point(0.92, 9, size_bytes=9e5))
    assert knee(points, [ACCURACY, LATENCY, SIZE]) == 1


def test_spread_begins_with_the_landmarks_and_fills_the_gaps():
    points = [point(0.5 + 0.04 * i, 1 + 0.1 * i * i) for i in range(10)]
    chosen = spread(points, [ACCURACY, LATENCY], 5)
    assert chosen[0] == 9
    assert 0 in chosen[:3]
    assert len(set(chosen)) == 5
    assert len(spread(points, [ACCURACY, LATENCY], 99)) == 10
    assert spread(points, [ACCURACY, LATENCY], 1) == [9]


def test_spread_works_beyond_the_reference_and_without_points():
    points = [point(0.5 + 0.04 * i, 20 + i) for i in range(6)]
    assert len(set(spread(points, [ACCURACY, LATENCY], 4))) == 4
    assert spread([], [ACCURACY, LATENCY], 4) == []


def test_picks_name_a_point_for_each_need():
    points = [point(0.5, 1), point(0.88, 2), point(0.9, 9)]
    found = picks(points, [ACCURACY, LATENCY])
    assert found == {"most accurate": 2, "knee": 1, "lowest latency_ms": 0}


def test_picks_under_a_budget_keep_it():
    tight = Axis("latency_ms", "ms", "minimize", reference=10.0, max=1.5)
    points = [point(0.5, 1), point(0.88, 2), point(0.9, 9)]
    found = picks(points, [ACCURACY, tight])
    assert (found["best under budget"], found["knee"], found["most accurate"]) == (0, 0, 2)


def test_no_point_is_recommended_for_a_budget_that_none_keeps():
    tight = Axis("latency_ms", "ms", "minimize", reference=10.0, max=0.5)
    found = picks([point(0.5, 1), point(0.9, 2)], [ACCURACY, tight])
    assert "best under budget" not in found
    assert "knee" in found
    assert picks([], [ACCURACY, tight]) == {}


def test_picks_of_a_single_minimised_axis():
    assert picks([point(0, 3), point(0, 2)], [LATENCY]) == {"lowest latency_ms": 1, "knee": 1}


def test_the_leading_metric_is_the_most_accurate_wherever_it_stands() -> None:
    axes = [
        Axis("top5", "share", "maximize", 0.0),
        Axis("accuracy", "share", "maximize", 0.0, leads=True),
        Axis("macs", "", "minimize", 10.0),
    ]
    points = [{"top5": 0.9, "accuracy": 0.5, "macs": 5}, {"top5": 0.8, "accuracy": 0.7, "macs": 5}]
    found = picks(points, axes)
    assert found["most accurate"] == 1
    assert found["highest top5"] == 0
