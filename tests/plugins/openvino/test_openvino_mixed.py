"""Which layers stay in float, on a model and files that are made up."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino")

from orchestrator_openvino.mixed_precision import Trial, choose_wide

from orchestrator.errors import CompressionError

# What each of six layers adds to the noise, and takes from 1.0 of the leading metric.
HARM = {"a": 0.0, "b": 0.04, "c": 0.01, "d": 0.16, "e": 0.0, "f": 0.02}


def model() -> Any:
    """Six layers with weights and one without."""
    kinds = [*((name, "Convolution") for name in HARM), ("relu", "Relu")]
    nodes = [
        SimpleNamespace(get_friendly_name=lambda n=name: n, get_type_name=lambda k=kind: k)
        for name, kind in kinds
    ]
    return SimpleNamespace(get_ordered_ops=lambda: nodes)


def harm(wide: Collection[str]) -> float:
    return sum(each for name, each in HARM.items() if name not in wide)


def chosen(least: float) -> list[str]:
    def answers(wide: Collection[str] | None) -> np.ndarray:
        return np.full((2, 3), 0.0 if wide is None else harm(wide) ** 0.5, np.float32)

    return choose_wide(model(), Trial(answers, lambda wide: 1 - harm(wide), least))


def test_nothing_stays_in_float_where_int8_will_do() -> None:
    assert chosen(0.7) == []


def test_the_layers_that_harm_most_stay_and_no_more_of_them_than_needed() -> None:
    assert chosen(0.9) == ["d"]
    assert chosen(0.96) == ["b", "d"]


def test_layers_that_do_no_harm_never_stay() -> None:
    assert chosen(1.0) == ["b", "c", "d", "f"]


def test_a_drop_that_nothing_keeps_to_is_told() -> None:
    with pytest.raises(CompressionError, match=r"with all of 4 blocks.*larger max_drop"):
        chosen(1.1)
