"""Robustness as an objective: a mean over kinds and severities, explained by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from orchestrator_robustness.corruptions import Corruption
from orchestrator_robustness.objective import Robustness
from torch import nn

from orchestrator import Genotype, Subject
from orchestrator.errors import CandidateError, ConfigError
from orchestrator.plugins import installed
from orchestrator.testing.objective import check_objective


def judge(changes: Sequence[Any], images: int) -> list[float]:
    """Fog is worse than noise, and each severity by a tenth of what is left."""
    assert images == 7 and all(isinstance(change, Corruption) for change in changes)
    return [(0.5 if c.kind == "fog" else 0.9) - 0.1 * c.severity for c in changes]


SUBJECT = Subject(Genotype("toy", "small", {}), nn.Identity(), (1, 2, 2), judge=judge)


def test_it_fulfils_its_contract() -> None:
    check_objective(installed().create("objective", "robustness", {}))


def test_it_is_the_mean_and_says_what_it_is_made_of() -> None:
    made = Robustness(images=7, kinds=["fog", "gaussian_noise"])
    assert made.measure(SUBJECT) == pytest.approx(0.4)
    told = made.explain(SUBJECT)
    assert told["fog"] == pytest.approx(0.2) and told["gaussian_noise"] == pytest.approx(0.6)
    assert told["severity_5"] == pytest.approx(0.2)


def test_before_training_there_is_none() -> None:
    with pytest.raises(CandidateError, match="only after training"):
        Robustness().measure(replace(SUBJECT, judge=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["frog"]}, "there is no 'frog'; did you mean 'fog'"),
        ({"kinds": []}, "expected one kind at least"),
        ({"images": 0}, "images is 0, expected 1 or more"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Robustness(**options)
