"""Looking at a space before a search: samples, extremes, size, a measured few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory
from toys import SMALLEST_PARAMS, SPACE_SIZE, ToyDevice

from orchestrator.candidate.factory import Factory
from orchestrator.errors import BudgetError
from orchestrator.plan import survey as survey_module
from orchestrator.plan.survey import (
    Deployed,
    Specimen,
    check_static,
    cost,
    smallest,
    space_size,
    specimen,
    survey,
)
from orchestrator.plugins import installed
from orchestrator.trials import FixedTrial, PartlyKnownTrial

pytestmark = pytest.mark.usefixtures("toys")

WIDE = {"kind": "plain", "width": 4}
LARGEST = 64 * 4 + 4 + 4 * 7 + 7 + 7 * 2 + 2


@pytest.fixture
def made(tmp_path: Path) -> Factory:
    return factory(tmp_path, compressor={"halving": {"name": "halving"}})


def of(made: Factory, **choices: Any) -> Specimen:
    return specimen(made, PartlyKnownTrial(choices, 0))


def test_a_specimen_has_the_choices_of_its_network_and_its_static_values(made: Factory) -> None:
    found = of(made, **WIDE)
    assert found.choices == WIDE
    assert found.genotype.architecture == {"widths": [4]}
    assert found.genotype.compression == ()
    # What needs training or a device is not among them.
    assert found.values == {"params": 64 * 4 + 4 + 4 * 2 + 2}


def test_a_survey_begins_with_the_named_points_and_repeats_itself(made: Factory) -> None:
    named = [WIDE, {"kind": "deep", "width": 1, "second": 5}]
    first, again = survey(made, named), survey(made, named)
    assert [one.choices for one in first[:2]] == named
    assert len(first) == 2 + survey_module._SAMPLES
    assert [one.choices for one in first] == [one.choices for one in again]


def test_a_survey_ends_in_time_with_something_seen(
    made: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_module, "_SAMPLING_SECONDS", -1.0)
    assert len(survey(made, [])) == 2
    assert len(survey(made, [WIDE, WIDE])) == 2


def test_networks_are_ordered_by_multiply_adds_whatever_the_objectives(made: Factory) -> None:
    objective = {n: o for n, o in made.config.objective.items() if n != "params"}
    bare = Factory(replace(made.config, objective=objective), made.folder, made.gate, installed())
    small, wide = of(bare, kind="plain", width=1), of(bare, **WIDE)
    assert not small.values
    assert 0 < cost(small) < cost(wide)
    assert smallest(bare, [wide]).choices == small.choices


def test_descent_changes_one_answer_at_a_time_to_the_smallest(made: Factory) -> None:
    start = of(made, kind="deep", width=4, second=7)
    found = smallest(made, [start])
    assert found.values["params"] == SMALLEST_PARAMS
    assert found.choices == {"kind": "plain", "width": 1}


def test_budgets_are_held_against_the_extremes(made: Factory) -> None:
    start = [of(made, **WIDE)]

    def held(low: float | None, high: float | None) -> None:
        limits = {"min": low, "max": high}
        objective = {"params": {"name": "params", **limits}}
        bounded = factory(made.folder, objective=objective)
        (target,) = [t for t in bounded.assembly.targets if t.name == "params"]
        check_static(bounded, target, start)

    held(LARGEST, None)
    held(None, SMALLEST_PARAMS)
    with pytest.raises(BudgetError, match=f"at least {LARGEST + 1}.* largest .* {LARGEST}"):
        held(LARGEST + 1, None)
    with pytest.raises(BudgetError, match=f"at most {SMALLEST_PARAMS - 1}.* smallest found"):
        held(None, SMALLEST_PARAMS - 1)


def test_the_size_of_a_conditional_space_is_estimated(made: Factory) -> None:
    # Halving or not doubles it.
    assert space_size(made.assembly) == pytest.approx(2 * SPACE_SIZE, rel=0.25)


def test_deployed_objectives_are_measured_uncompressed(made: Factory, tmp_path: Path) -> None:
    deployed = Deployed(made, tmp_path)
    values = deployed.values(of(made, **WIDE))
    deployed.close()
    assert values == {"latency_ms": (64 * 4 + 4 + 4 * 2 + 2) / 100}
    assert "compress" not in ToyDevice.calls and "train" not in ToyDevice.calls
    assert deployed.seconds > 0


def test_without_deployed_objectives_nothing_is_compiled(tmp_path: Path) -> None:
    made = factory(tmp_path, objective={"latency_ms": {"name": "params"}})
    ToyDevice.calls.clear()
    assert Deployed(made, tmp_path).values(of(made, **WIDE)) == {}
    assert ToyDevice.calls == []


def test_a_trial_that_knows_all_answers_is_drawn_as_it_is(made: Factory) -> None:
    architecture = made.assembly.space.suggest(FixedTrial(WIDE))
    assert of(made, **WIDE).genotype.architecture == architecture
