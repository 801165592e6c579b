from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any

import pytest
from toys import SPACE_SIZE

from orchestrator.contracts import Axis, Budget, Ground
from orchestrator.errors import DeviceError, RunError
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Record
from orchestrator.search.cluster import Cluster, Job, Resources
from orchestrator.search.ends import since
from orchestrator.search.loop import Callbacks, Limits, search
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.testing.toys import ToySpace

AXES = [Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 12.0)]


class Run:
    """A search with one of the job functions of `toys`."""

    def __init__(self, folder: Path, sampler: str = "random") -> None:
        self.folder = folder
        self.sampler = sampler
        self.calls = folder / "calls"
        self.calls.mkdir()
        self.heard: list[Record] = []
        self.proposer = self.open()

    def open(self) -> Proposer:
        def draw(trial: Any) -> Genotype:
            return Genotype("toy", "small", ToySpace().suggest(trial))

        def sampler(seed: int) -> Any:
            return installed().create("sampler", self.sampler, {}, given={"seed": seed})

        ground = Ground(AXES, draw, budgets={"params": Budget(max=9.0)})
        return Proposer(self.folder / "journal", ground, sampler)

    def search(self, function: str, candidates: int, **common: Any) -> list[Record]:
        """What the journal holds afterwards."""
        job = Job(f"toys:{function}", {"folder": str(self.calls), **common})
        resources = Resources(concurrent=common.get("concurrent", 1))
        limits = Limits(candidates)
        search(self.proposer, job, resources, limits, Callbacks(self.heard.append))
        return read_records(self.folder / "journal")

    @property
    def called(self) -> list[int]:
        return sorted(int(path.name.partition("-")[0]) for path in self.calls.iterdir())


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_budget_counts_only_what_was_paid_for(run: Run) -> None:
    records = run.search("tabulated", 5, most=8)
    outcomes = [record.outcome for record in records]
    assert outcomes.count("feasible") == 5
    assert outcomes.count("rejected") > 0
    assert run.heard == records
    assert run.called == [record.number for record in records]


def test_what_raises_or_dies_is_one_failed_candidate(run: Run) -> None:
    records = run.search("fragile", 6)
    assert len(records) == 6
    failed = records[1:5]
    assert {record.outcome for record in failed} == {"failed"}
    assert {record.step for record in failed} == {"process"}
    assert all(record.error for record in failed)
    reasons = [record.reason for record in failed]
    assert reasons[0] == "one and no more"
    assert "SIGKILL" in reasons[1] and reasons[2] == reasons[1]
    assert reasons[3] == "SystemExit(3) was raised in it"
    assert {records[i].outcome for i in (0, 5)} == {"feasible"}


def test_a_process_that_dies_once_costs_nothing(run: Run) -> None:
    records = run.search("killed_once", 3)
    assert {record.outcome for record in records} == {"feasible"}
    assert len(run.called) == 4 and run.called[1] == run.called[2]


def test_a_lost_device_ends_the_search_and_leaves_its_candidate_open(run: Run) -> None:
    with pytest.raises(DeviceError, match="the board does not answer"):
        run.search("unplugged", 9)
    told = [record.number for record in read_records(run.folder / "journal")]
    again = run.open().propose()
    assert again is not None
    assert told == run.called[:2]
    assert again.number == run.called[2]


def test_no_more_is_asked_for_than_keeps_the_slots_busy(run: Run) -> None:
    waiting: list[int] = []
    tell = run.proposer.tell

    def spied(record: Record) -> list[Record]:
        waiting.append(len(run.proposer.history.pending))
        return tell(record)

    run.proposer.tell = spied  # type: ignore[method-assign]
    run.search("tabulated", 14, concurrent=2)
    assert max(waiting) <= 2 + 2
    waiting.clear()
    run.search("tabulated", SPACE_SIZE)
    assert set(waiting) == {1}


def test_one_at_a_time_the_clock_changes_no_proposal(cluster: Cluster, tmp_path: Path) -> None:
    found = []
    for seconds in (0.0, 0.05):
        (tmp_path / str(seconds)).mkdir()
        records = Run(tmp_path / str(seconds), "tpe").search("tabulated", 13, seconds=seconds)
        found.append([record.genotype.key for record in records])
    assert found[0] == found[1]


def test_slots_share_the_work_and_nothing_is_lost_or_done_twice(run: Run) -> None:
    records = run.search("tabulated", 10, concurrent=2, seconds=0.1)
    assert len(records) == 10
    assert [record.number for record in records] == run.called


def test_a_time_limit_ends_the_search(run: Run) -> None:
    job = Job("toys:tabulated", {"folder": str(run.calls), "seconds": 0.4})
    observer = Callbacks(run.heard.append)
    search(run.proposer, job, Resources(), Limits(SPACE_SIZE, 2.0), observer)
    # Starting counts too, so a busy machine may finish none in two seconds.
    assert len(run.heard) < SPACE_SIZE / 2
    assert [record.number for record in run.heard] == run.called[: len(run.heard)]


def test_time_that_is_up_ends_what_runs_and_leaves_it_open(run: Run) -> None:
    job = Job("toys:tabulated", {"folder": str(run.calls), "seconds": 60.0})
    start = time.monotonic()
    search(run.proposer, job, Resources(), Limits(3, seconds=1.5), Callbacks(run.heard.append))
    assert time.monotonic() - start < 20
    assert run.heard == []
    again = run.open().propose()
    assert again is not None and again.number == 0


def test_a_candidate_that_does_not_answer_has_failed(run: Run) -> None:
    job = Job("toys:slow_second", {"folder": str(run.calls)})
    observer = Callbacks(run.heard.append, runs_s=lambda number: since(run.calls / str(number)))
    search(run.proposer, job, Resources(), Limits(3, seconds_each=2.0), observer)
    assert [record.outcome for record in run.heard] == ["feasible", "failed", "feasible"]
    assert run.heard[1].reason == "no answer after 2 s"


def test_a_disk_that_takes_no_more_ends_the_search_with_one_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run.search("tabulated", 2)
    monkeypatch.setattr("orchestrator.search.journal.os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        run.search("tabulated", 5)
    monkeypatch.undo()
    run.proposer = run.open()
    assert len(run.search("tabulated", 5)) == 5


def test_a_used_up_space_ends_the_search(run: Run) -> None:
    records = run.search("tabulated", 99, concurrent=2)
    assert len({record.genotype.key for record in records}) == len(records) == SPACE_SIZE


def test_budgets_that_nothing_keeps_end_the_search(run: Run) -> None:
    records = run.search("tabulated", 3, most=0)
    assert {record.outcome for record in records} == {"rejected"}


def test_a_search_goes_on_to_the_right_number(run: Run) -> None:
    run.search("tabulated", 3)
    run.proposer = run.open()
    records = run.search("tabulated", 7)
    assert len(records) == 7
    assert run.called == [record.number for record in records]
    run.proposer = run.open()
    assert len(run.search("tabulated", 7)) == 7  # nothing is left to do


def test_the_observer_adds_to_what_a_candidate_gets(run: Run) -> None:
    observer = Callbacks(run.heard.append, lambda proposal: {"most": 0})
    job = Job("toys:tabulated", {"folder": str(run.calls)})
    search(run.proposer, job, Resources(), Limits(1), observer)
    assert {record.outcome for record in run.heard} == {"rejected"}


def test_mapping_gives_results_and_errors_by_index(cluster: Cluster, run: Run) -> None:
    proposals = [run.proposer.propose() for _ in range(3)]
    payloads = [
        {"nth": nth, "number": nth, "genotype": p.genotype.to_json(), "choices": {}, "origin": ""}
        for nth, p in enumerate(proposals)
        if p is not None
    ]
    found = dict(cluster.map(Job("toys:fragile", {"folder": str(run.calls)}), payloads))
    assert found[0]["outcome"] == "feasible"
    assert isinstance(found[1], ValueError)
    assert isinstance(found[2], Exception)


def test_who_goes_on_at_a_rung_goes_on_there_after_a_resume(run: Run) -> None:
    told: list[Any] = []

    def judge(record: Record) -> Record | None:
        first = len(told) < 2
        told.append(record.number)
        return None if first else record

    job = Job("toys:tabulated", {"folder": str(run.calls)})
    observer = Callbacks(run.heard.append, judge=judge, enough=lambda: len(told) == 2)
    search(run.proposer, job, Resources(), Limits(2), observer)
    assert run.heard == [] and told == [0, 0]
    again = run.open()
    assert set(again.climbing) == {0}
    proposal = again.propose()
    assert proposal is not None and proposal.number == 0
    again.tell(again.climbing[0])
    assert [record.number for record in read_records(run.folder / "journal")] == [0]
