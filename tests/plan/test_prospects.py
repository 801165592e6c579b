"""What is said before a search that promises nothing; a sound one hears nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toy_factory import factory
from toys import SPACE_SIZE

from orchestrator.analysis.health import FEW_IMAGES
from orchestrator.data import summarise
from orchestrator.plan.planning import make_plan
from orchestrator.plan.prospects import noted
from orchestrator.plan.survey import survey
from orchestrator.pretrained.prospect import Prospect

pytestmark = pytest.mark.usefixtures("toys")


def test_a_space_smaller_than_the_budget_is_told_at_plan(tmp_path: Path) -> None:
    made = factory(tmp_path, budget={"candidates": 10 * SPACE_SIZE})
    told = [text for text in make_plan(made, 1).warnings if "genotypes" in text]
    assert len(told) == 1 and f"budget.candidates is {10 * SPACE_SIZE}" in told[0]


def test_steps_of_a_sound_recipe_lower_the_loss_and_wild_ones_are_told(tmp_path: Path) -> None:
    made = factory(tmp_path)
    assert not [text for text in make_plan(made, 1).warnings if "does not learn" in text]
    wild = factory(tmp_path, train={"learning_rate": 1e4, "optimizer": "sgd"})
    told = [text for text in make_plan(wild, 1).warnings if "does not learn" in text]
    assert len(told) == 1 and "Lower train.learning_rate (now 10000)" in told[0]


def test_classes_too_rare_to_judge_by_are_told_at_plan(tmp_path: Path) -> None:
    made = factory(tmp_path)
    told = [text for text in make_plan(made, 1).warnings if "Too few images" in text]
    rare = min(summarise(made.assembly.dataset).by_class["test"]) < FEW_IMAGES
    assert len(told) == int(rare)


def test_images_normalised_otherwise_than_those_of_the_weights_are_told(tmp_path: Path) -> None:
    made = factory(tmp_path)
    facts, data = made.assembly.facts, summarise(made.assembly.dataset)
    specimens = survey(made, [])[:1]
    told = {"licence": "MIT", "credit": "me", "data": "mine", "source": "here"}
    alike = Prospect("a/b", "1.0", **told, at_hand=True, mean=facts.mean, deviation=facts.deviation)
    assert not [text for text in noted(made, specimens, alike, data) if "worth less" in text]
    other = replace(alike, mean=tuple(each + 0.1 for each in facts.mean))
    (text,) = [text for text in noted(made, specimens, other, data) if "worth less" in text]
    assert "dataset.normalise=auto" in text and "trained_with" in text
