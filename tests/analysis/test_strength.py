from __future__ import annotations

import math

import pytest

from orchestrator import strongest

RATIOS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


@pytest.mark.parametrize(("least", "expected"), [(0.95, None), (0.75, 0.2), (0.0, 0.8)])
def test_the_strongest_setting_that_still_reaches_enough_is_found(least, expected):
    assert strongest(RATIOS, lambda ratio: 1 - ratio, least) == expected


def test_it_asks_for_few_figures():
    asked: list[float] = []

    def kept(ratio: float) -> float:
        asked.append(ratio)
        return 1 - ratio

    strongest(RATIOS, kept, 0.55)
    assert len(asked) <= 4
    assert len(set(asked)) == len(asked)


def test_no_number_is_too_little():
    assert strongest(RATIOS, lambda ratio: math.nan, 0.0) is None


def test_of_no_settings_there_is_none():
    assert strongest([], lambda ratio: 1.0, 0.0) is None
