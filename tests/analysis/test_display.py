from __future__ import annotations

import math

import pytest

from orchestrator.analysis.display import human, interval, label, on_test, unit_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1_230_000, "parameters", "1.23 M"),
        (999_950, "", "1 M"),
        (812, "MACs", "812"),
        (1_060_000, "elements", "1.06 M"),
        (4.6, "ms", "4.6 ms"),
        (0.0461, "ms", "0.0461 ms"),
        (25_000, "ms", "25 s"),
        (312_400, "bytes", "312 kB"),
        (87, "bytes", "87 B"),
        (0.981, "share", "98.1 %"),
        (1.0, "share", "100.0 %"),
        (523.4, "images/s", "523 images/s"),
        (0, "ms", "0 ms"),
        (-2.5, "ms", "-2.5 ms"),
        (90, "s", "90 s"),
        (1500, "s", "25 min"),
        (9000, "s", "2 h 30 min"),
        (math.nan, "ms", "–"),
    ],
)
def test_figures_have_three_digits_and_a_unit(value, unit, text):
    assert human(value, unit) == text


def test_headings_lose_the_unit_and_keep_the_field_s_spelling():
    assert label("latency_fp32_ms") == "latency fp32"
    assert label("macs") == "MACs"
    assert label("ms") == "ms"


def test_a_name_tells_its_unit():
    names = ["latency_fp32_ms", "size_bytes", "test_accuracy", "params", "test_accuracy_fp32"]
    assert [unit_of(name) for name in names] == ["ms", "bytes", "share", "", "share"]


def test_an_interval_is_wilsons() -> None:
    # 9 of 10: the score interval is 59.6 to 98.2 %, where the usual one would pass 100 %.
    assert interval(0.9, 10) == "90.0 % (59.6 to 98.2)"
    assert interval(1.0, 360) == "100.0 % (98.9 to 100.0)"


def test_a_share_without_a_number_of_images_has_no_interval() -> None:
    assert on_test({"test_miou": 0.5}, "test_miou") == "50.0 %"
    assert on_test({"test_accuracy": 0.9, "test_images": 10}, "test_accuracy").endswith("98.2)")


def test_an_objective_of_another_device_tells_where() -> None:
    assert label("latency_ms@pi") == "latency on pi"
    assert unit_of("latency_ms@pi") == "ms"
