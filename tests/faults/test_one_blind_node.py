"""A run's folder that only the driver sees."""

from __future__ import annotations

from pathlib import Path

from orchestrator.search.cluster import Job, Resources, task_options
from orchestrator.search.nodes import mark_of, sees_run
from orchestrator.search.worker import _run_folder


def run_folder(path: Path, plan: str) -> Path:
    path.mkdir()
    (path / "plan.json").write_text(plan)
    return path


def test_a_folder_at_the_same_path_on_another_machine_is_not_that_of_the_run(
    tmp_path: Path,
) -> None:
    ours, theirs = run_folder(tmp_path / "a", "{1}"), run_folder(tmp_path / "b", "{2}")
    assert sees_run(ours, mark_of(ours))
    assert not sees_run(theirs, mark_of(ours))
    assert not sees_run(tmp_path / "gone", mark_of(ours))


def test_where_it_is_not_seen_a_candidate_works_in_a_folder_of_its_own(tmp_path: Path) -> None:
    ours = run_folder(tmp_path / "run", "{}")
    assert _run_folder({"folder": str(ours), "mark": mark_of(ours)}) == ours
    blind = _run_folder({"folder": str(tmp_path / "gone"), "mark": mark_of(ours)})
    assert blind.is_dir() and not (tmp_path / "gone").exists()
    assert _run_folder({"folder": str(tmp_path / "gone"), "mark": mark_of(ours)}) == blind


def test_only_what_needs_the_folder_stays_with_the_driver() -> None:
    resources = Resources(home="a" * 56)
    free, bound = (
        task_options(resources, Job("module:work", {}, at_home=home)) for home in (False, True)
    )
    assert "scheduling_strategy" not in free
    assert bound["scheduling_strategy"].node_id == "a" * 56
    assert not bound["scheduling_strategy"].soft
    assert task_options(Resources(), Job("module:work", {}, at_home=True)) == free
