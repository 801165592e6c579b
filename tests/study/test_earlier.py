"""Runs that a search starts from: what they are to it, and that it needs them no more."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import FinishedRun

from orchestrator.candidate.factory import Factory
from orchestrator.config import Chosen, ObjectiveConfig, SamplerConfig, StudyConfig
from orchestrator.errors import ConfigError, RunError
from orchestrator.measuring.gate import host_gate
from orchestrator.plan.planning import Plan
from orchestrator.plugins import installed
from orchestrator.search.proposer import read_records
from orchestrator.study import load
from orchestrator.study.earlier import Known, earlier_runs, keep_earlier, kept_earlier
from orchestrator.study.study import Study


@pytest.fixture(scope="module")
def before(finished_run: FinishedRun) -> Study:
    return load(finished_run.folder)


def known(study: Study, folder: Path, plan: Plan | None = None, **changed: Any) -> Known:
    """What a search with another configuration takes from it."""
    given = {"name": "guided", **changed.pop("sampler", {})}
    sampler = SamplerConfig(history=(str(study.folder),), **given)
    config: StudyConfig = replace(study.config, sampler=sampler, **changed)
    factory = Factory(config, folder, host_gate(), installed())
    return earlier_runs(factory, plan or study.plan)


def test_under_the_same_conditions_they_are_evaluations(before: Study, tmp_path: Path) -> None:
    found = known(before, tmp_path, run=replace(before.config.run, seed=9))
    assert not found.priors and len(found.evaluations) == len(before.records)
    assert {record.earlier for record in found.evaluations} == {before.folder.name}
    assert not any(record.paid for record in found.evaluations)
    trained = before.ledger.trainings
    assert found.sentences[0].startswith(
        f"sampler.history: takes {trained} candidates of finished as"
    )


def test_they_are_judged_by_this_search_s_budgets(before: Study, tmp_path: Path) -> None:
    tight, loose = (
        {**before.config.objective, "params": ObjectiveConfig("params", max=limit)}
        for limit in (1000.0, None)
    )
    found = known(before, tmp_path, objective=tight)
    assert {record.outcome for record in found.evaluations} == {"rejected"}
    found = known(before, tmp_path, objective=loose)
    assert {record.outcome for record in found.evaluations} == {"feasible"}
    assert len(found.evaluations) == len(before.feasible)  # the rest was never trained


def test_another_recipe_or_device_makes_a_prior_of_what_still_holds(
    before: Study, tmp_path: Path
) -> None:
    train = replace(before.config.train, epochs=7)
    (prior,) = known(before, tmp_path, train=train).priors
    assert prior.differs == ("recipe",) and len(prior.records) == len(before.records)
    assert {"macs", "params", "latency_ms", "size_bytes"} <= prior.holds
    seats = {name: {"processor": "another"} for name in before.plan.fingerprints}
    found = known(before, tmp_path, replace(before.plan, fingerprints=seats))
    assert found.priors[0].differs == ("device",)
    assert {"accuracy", "macs", "params"} <= found.priors[0].holds
    assert "latency_ms" not in found.priors[0].holds
    assert "had other device" in found.sentences[0]


def test_other_images_leave_what_is_static(before: Study, tmp_path: Path) -> None:
    assert before.plan.data is not None
    data = {**before.plan.data, "fingerprints": {"train": "1", "validation": "2", "test": "3"}}
    (prior,) = known(before, tmp_path, replace(before.plan, data=data)).priors
    assert prior.differs == ("data",) and "accuracy" not in prior.holds
    assert {"macs", "params"} <= prior.holds


def test_another_space_is_refused_and_says_what_differs(before: Study, tmp_path: Path) -> None:
    space = Chosen("mobilenetv3", {**before.config.space.options, "preset": "full"})
    with pytest.raises(ConfigError, match=r"another space: space\.preset is full, there small"):
        known(before, tmp_path, space=space)
    with pytest.raises(ConfigError, match=r"compressor\.pruning.* is not given"):
        compressors = {k: v for k, v in before.config.compressor.items() if k != "pruning"}
        known(before, tmp_path, compressor=compressors)


def test_a_sampler_that_cannot_use_them_says_so(before: Study, tmp_path: Path) -> None:
    found = known(before, tmp_path, sampler={"name": "random"})
    assert "sampler=random learns nothing of earlier runs" in found.sentences[-1]
    train = replace(before.config.train, epochs=7)
    with pytest.raises(ConfigError, match=r"finished \(recipe\).* sampler=tpe starts from eval"):
        known(before, tmp_path, sampler={"name": "tpe"}, train=train)


def test_what_is_kept_needs_the_earlier_run_no_more(before: Study, tmp_path: Path) -> None:
    gone = shutil.copytree(before.folder, tmp_path / "gone", ignore=lambda *_: {"models"})
    train = replace(before.config.train, epochs=7)
    same, other = (known(load(gone), tmp_path, **more) for more in ({}, {"train": train}))
    keep_earlier(tmp_path, replace(same, priors=other.priors))
    shutil.rmtree(gone)
    kept = kept_earlier(tmp_path)
    assert list(kept.evaluations) == list(same.evaluations)
    assert list(kept.priors) == list(other.priors)
    trained = {record.genotype.plain().key for record in before.front}
    assert {path.stem for path in (tmp_path / "weights").iterdir()} == trained
    assert kept_earlier(tmp_path / "elsewhere") == Known()
    (tmp_path / "history.json").write_text('{"format": 1, "evaluations": [{}]}')
    with pytest.raises(RunError, match=r"history\.json is damaged"):
        kept_earlier(tmp_path)


def test_a_folder_that_is_no_run_is_named(before: Study, tmp_path: Path) -> None:
    sampler = SamplerConfig("guided", history=(str(tmp_path),))
    factory = Factory(replace(before.config, sampler=sampler), tmp_path, host_gate(), installed())
    with pytest.raises(RunError, match="is not the folder of a search"):
        earlier_runs(factory, before.plan)
    assert read_records(before.home.journal)  # and it was left as it is
