"""How far a share of images is known: published values, and pairs that can be told apart or not."""

from __future__ import annotations

import pytest

from orchestrator.analysis.certainty import differ, wilson
from orchestrator.analysis.display import counted, interval, needs


# Newcombe 1998 (doi 10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E), table I.
@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_the_published_ones(right: int, images: int, low: float, high: float) -> None:
    assert wilson(right / images, images) == pytest.approx((low, high), abs=1e-4)


# Newcombe 1998 (…:8<873::AID-SIM779>3.0.CO;2-I), table II, method 10: 56/70 and 48/80 differ by
# 0.0524 to 0.3339; 9/10 and 3/10 by 0.1705 to 0.8090; 6/7 and 2/7 by 0.0582 to 0.8062.
@pytest.mark.parametrize(
    ("one", "other", "images", "apart"),
    [
        (0.9, 0.3, 10, True),
        (6 / 7, 2 / 7, 7, True),
        (0.95, 0.93, 400, False),
        (0.95, 0.93, 4000, True),
        (1.0, 1.0, 30, False),
    ],
)
def test_two_shares_differ_where_chance_does_not_explain_it(
    one: float, other: float, images: int, apart: bool
) -> None:
    assert differ(one, other, images) is differ(other, one, images) is apart


def test_a_share_is_told_with_its_interval_where_images_are_counted() -> None:
    assert counted(0.889, 27) == interval(0.889, 27) == "88.9 % (72.0 to 96.2)"
    assert counted(0.889, None) == "88.9 %"


def test_a_pick_says_which_files_are_no_different() -> None:
    told = needs(("most accurate", "knee"), {"most accurate": ("#19", "#3 int8"), "knee": ()})
    assert told == ["most accurate (not distinguishable from #19, #3 int8)", "knee"]
