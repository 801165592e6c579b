"""Static objectives of candidates, in outline where that suffices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory, genotype

from orchestrator.candidate.factory import Factory
from orchestrator.records import Genotype, Step
from orchestrator.trials import FixedTrial

pytestmark = pytest.mark.usefixtures("toys")


def family(folder: Path, *objectives: str, **groups: Any) -> Factory:
    """MobileNetV2's small networks on the toys' images."""
    wanted = {name: {"name": name} for name in objectives}
    return factory(folder, space={"name": "mobilenetv2"}, objective=wanted, **groups)


def named(made: Factory, index: int) -> Genotype:
    choices = list(made.assembly.space.published().values())[index].choices
    return Genotype("mobilenetv2", "small", made.assembly.space.suggest(FixedTrial(choices)))


def test_what_shapes_tell_is_counted_in_outline_and_equals_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = family(tmp_path, "macs", "memory_access")
    network = made.build(named(made, 1))
    monkeypatch.setattr(made.static_values, "_preview", None)  # which none may ask for
    values = made.static(named(made, 1))
    assert values["macs"] == made.macs_of(network)
    assert values["params"] == sum(p.numel() for p in network.parameters())


def test_a_pruned_candidate_is_built_as_weights_decide_what_goes(tmp_path: Path) -> None:
    pruning = {"pruning": {"name": "pruning"}}
    made = family(tmp_path, "macs", compressor=pruning)
    whole = named(made, 1)
    pruned = replace(whole, compression=(Step("pruning", {"ratio": 0.5}),))
    assert made.static(pruned)["macs"] < made.static(whole)["macs"]
    assert made.static_values.obstacle == ""


def test_a_space_that_says_nothing_is_built_and_the_reason_told(tmp_path: Path) -> None:
    made = factory(tmp_path)
    assert made.static(genotype())["params"] == 4 * 64 + 4 + 2 * 4 + 2
    assert "SearchSpace.outlined" in made.static_values.obstacle


def test_an_objective_that_looks_at_weights_has_networks_built(tmp_path: Path) -> None:
    made = family(tmp_path, "synflow")
    assert set(made.static(named(made, -1))) == {"params", "synflow"}
    assert made.static_values.obstacle == "synflow looks at weights"


def test_outlines_that_fail_where_the_build_does_not_are_given_up_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = family(tmp_path, "macs")

    def fail(*_: object) -> None:
        raise ValueError("no meta kernel")

    monkeypatch.setattr(made.static_values._outlines, "draw", fail)
    assert made.static(named(made, -1))["macs"] > 0
    assert made.static_values.obstacle == "ValueError: no meta kernel"
