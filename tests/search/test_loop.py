from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import SPACE_SIZE

from orchestrator.contracts import Axis, Budget, Ground
from orchestrator.errors import DeviceError
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Record
from orchestrator.search import loop
from orchestrator.search.cluster import Cluster, Job, Resources
from orchestrator.search.loop import Callbacks, Limits, search
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.testing.toys import ToySpace

AXES = [Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 12.0)]


class Run:
    """A search with one of the job functions of `toys`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.mkdir()
        self.heard: list[Record] = []
        self.proposer = self.open()

    def open(self) -> Proposer:
        def draw(trial: Any) -> Genotype:
            return Genotype("toy", "small", ToySpace().suggest(trial))

        def sampler(seed: int) -> Any:
            return installed().create("sampler", "random", {}, given={"seed": seed})

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
    assert [record.number for record in records] == run.called
    assert len(records) == 6
    failed = records[1:4]
    assert {record.outcome for record in failed} == {"failed"}
    assert {record.step for record in failed} == {"process"}
    assert failed[0].reason == "one and no more"
    assert all(record.error for record in failed)
    assert {records[i].outcome for i in (0, 4, 5)} == {"feasible"}


def test_a_lost_device_ends_the_search_and_leaves_its_candidate_open(run: Run) -> None:
    with pytest.raises(DeviceError, match="the board does not answer"):
        run.search("unplugged", 9)
    told = [record.number for record in read_records(run.folder / "journal")]
    again = run.open().propose()
    assert again is not None
    assert told == run.called[:2]
    assert again.number == run.called[2]


def test_quick_candidates_are_handed_over_in_batches(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    give = loop._Searcher._batch

    def spied(searcher: Any) -> Any:
        batch = give(searcher)
        sizes.append(len(batch))
        return batch

    monkeypatch.setattr(loop._Searcher, "_batch", spied)
    records = run.search("tabulated", 14)
    assert max(sizes) > 2
    assert len(records) == 14
    assert run.called == [record.number for record in records]


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
    assert [record.number for record in run.heard] == run.called


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
