"""The fixtures that plugin authors get, as an author would use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator import Genotype, Record, hookimpl
from orchestrator.analysis.pareto import front
from orchestrator.contracts.outputs import Classes
from orchestrator.errors import BuildError
from orchestrator.plugins import installed
from orchestrator.search.proposer import read_records
from orchestrator.testing.quick import AXES, QuickSearch, QuickStudy, search_quickly
from orchestrator.testing.space import check_space
from orchestrator.testing.toys import TabulatedSpace, ToySpace

Quick = Callable[..., QuickStudy]
ACCURACY, PARAMS = AXES


def test_the_toy_space_is_a_space(toy_space: ToySpace) -> None:
    check_space(toy_space, image_size=8, samples=6)


def test_the_tabulated_space_is_a_space(tabulated_space: TabulatedSpace) -> None:
    check_space(tabulated_space, image_size=8, in_channels=1, samples=6)


def test_the_table_tells_the_parameters_of_the_networks(tabulated_space: TabulatedSpace) -> None:
    every = list(tabulated_space.genotypes())
    assert len({genotype.key for genotype in every}) == 4680
    for genotype in every[:: len(every) // 7]:
        facts = tabulated_space.facts
        network = tabulated_space.build(genotype.architecture, facts, Classes(10))
        counted = sum(parameter.numel() for parameter in network.parameters())
        assert tabulated_space.figures(genotype)["params"] == counted
    accuracies = [tabulated_space.figures(genotype)["accuracy"] for genotype in every]
    assert min(accuracies) > 0 and max(accuracies) < 1


def test_a_study_is_three_lines(quick_study: Quick, tabulated_space: TabulatedSpace) -> None:
    study = quick_study(tabulated_space, tabulated_space.figures)
    assert len(study.records) == 50
    assert study.front[0].values["accuracy"] > 0.7


def test_a_study_finds_more_than_chance(
    quick_study: Quick, tabulated_space: TabulatedSpace
) -> None:
    settings = {"candidates": 150, "seed": 1}
    study = quick_study(tabulated_space, tabulated_space.figures, **settings)
    every = [tabulated_space.figures(genotype) for genotype in tabulated_space.genotypes()]
    best = max(every[index]["accuracy"] for index in front(every, study.axes))
    assert max(record.values["accuracy"] for record in study.front) > best - 0.02


def test_the_same_seed_proposes_the_same(tabulated_space: TabulatedSpace, tmp_path: Path) -> None:
    keys = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        search = QuickSearch(candidates=20, seed=5)
        study = search_quickly(tabulated_space, tabulated_space.figures, tmp_path / name, search)
        keys.append([record.genotype.key for record in study.records])
    assert keys[0] == keys[1]


def test_a_study_goes_on_where_it_stopped(
    quick_study: Quick, tabulated_space: TabulatedSpace
) -> None:
    paid: list[str] = []

    def figures(genotype: Genotype) -> dict[str, float]:
        paid.append(genotype.key)
        return tabulated_space.figures(genotype)

    quick_study(tabulated_space, figures, candidates=10)
    study = quick_study(tabulated_space, figures, candidates=25)
    assert len(study.records) == len(set(paid)) == 25
    assert [record.genotype.key for record in study.records] == paid
    assert read_records(study.folder / "study.journal") == study.records


def test_named_points_come_first_and_a_space_is_used_up(
    quick_study: Quick, toy_space: ToySpace
) -> None:

    def chance(seed: int) -> Any:
        return installed().create("sampler", "random", {"seed": seed})

    figures = {"accuracy": 0.5, "params": 1.0}
    study = quick_study(toy_space, lambda genotype: figures, sampler=chance)
    assert len(study.records) == 16
    assert [r.origin for r in study.records[:2]] == ["published: wide", "published: tall"]


def test_budgets_reject_and_errors_fail(
    quick_study: Quick, tabulated_space: TabulatedSpace
) -> None:
    def figures(genotype: Genotype) -> dict[str, float]:
        if len(genotype.architecture["widths"]) == 4:
            raise BuildError("four layers are too many")
        return tabulated_space.figures(genotype)

    axes = [ACCURACY, replace(PARAMS, max=400.0)]
    study = quick_study(tabulated_space, figures, axes=axes)
    by_outcome: dict[str, list[Record]] = {}
    for record in study.records:
        by_outcome.setdefault(record.outcome, []).append(record)
    assert set(by_outcome) == {"feasible", "rejected", "failed"}
    assert all(record.values["params"] <= 400 for record in by_outcome["feasible"])
    for record in by_outcome["rejected"]:
        assert record.violations == {"params": record.values["params"] - 400}
    assert {record.reason for record in by_outcome["failed"]} == {"four layers are too many"}


def test_watchers_hear_what_an_installed_plugin_would(
    quick_study: Quick, tabulated_space: TabulatedSpace
) -> None:
    heard: list[str] = []

    class Watcher:
        @hookimpl
        def orchestrator_search_started(self, study: Any) -> None:
            heard.append(f"started {study.name}")

        @hookimpl
        def orchestrator_candidate_finished(self, study: Any, record: Record) -> None:
            assert study.records[-1] is record
            heard.append(record.outcome)

        @hookimpl
        def orchestrator_search_finished(self, front: Any) -> None:
            heard.append(f"finished with {len(front)}")

    study = quick_study(
        tabulated_space, tabulated_space.figures, candidates=3, watchers=[Watcher()]
    )
    assert heard == [
        "started tabulated_toy",
        *["feasible"] * 3,
        f"finished with {len(study.front)}",
    ]


def test_a_watcher_that_raises_or_is_misspelt_fails_the_test(
    quick_study: Quick, tabulated_space: TabulatedSpace
) -> None:
    class Broken:
        @hookimpl
        def orchestrator_search_started(self, study: Any) -> None:
            raise RuntimeError("not today")

    with pytest.raises(AssertionError, match="not today"):
        quick_study(tabulated_space, tabulated_space.figures, watchers=[Broken()])
    misspelt = SimpleNamespace(orchestrator_search_begun=hookimpl(lambda: None))
    with pytest.raises(AssertionError, match="orchestrator_search_begun"):
        quick_study(tabulated_space, tabulated_space.figures, watchers=[misspelt])
