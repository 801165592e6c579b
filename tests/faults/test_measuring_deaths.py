"""A measuring process that dies or hangs: the device is told from the file that kills it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Axis, Ground
from orchestrator.errors import DeviceError
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Record
from orchestrator.search.cluster import Cluster, Job, Resources
from orchestrator.search.ends import since, traces_of
from orchestrator.search.loop import Callbacks, Limits, search
from orchestrator.search.proposer import Proposer, read_records
from orchestrator.testing.toys import ToySpace

AXES = [Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 12.0)]


class Search:
    """One folder for the device's moods, one for each search."""

    def __init__(self, cluster: Cluster, moods: Path) -> None:
        self.cluster, self.moods = cluster, moods

    def open(self, folder: Path) -> Proposer:
        def draw(trial: Any) -> Genotype:
            return Genotype("toy", "small", ToySpace().suggest(trial))

        def sampler(seed: int) -> Any:
            return installed().create("sampler", "random", {}, given={"seed": seed})

        return Proposer(folder / "journal", Ground(AXES, draw), sampler)

    def run(self, folder: Path, candidates: int, *, seconds_each: float | None = None) -> None:
        common = {"folder": str(self.moods), "meters": self.cluster.meters}
        observer = Callbacks(
            lambda record: None,
            runs_s=lambda number: since(self.moods / str(number)),
            hung_in_meter=self.cluster.hung_in_meter,
        )
        limits = Limits(candidates, seconds_each=seconds_each)
        search(self.open(folder), Job("dying:measured", common), Resources(), limits, observer)

    def mood(self, what: str, names: str) -> None:
        (self.moods / what).write_text(names)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Search]:
    moods = tmp_path_factory.mktemp("moods")
    with Cluster(Resources(concurrent=2)) as cluster:
        job = Job("dying:dying_devices", {"folder": str(moods)})
        cluster.start_meter(job, ["dying"], {})
        yield Search(cluster, moods)


@pytest.fixture
def searching(started: Search) -> Search:
    for path in started.moods.iterdir():
        if path.is_file():
            path.unlink()
    return started


def outcomes(folder: Path) -> list[str]:
    return [record.outcome for record in read_records(folder / "journal")]


def test_one_death_costs_nothing(searching: Search, tmp_path: Path) -> None:
    searching.mood("once", "all")
    searching.run(tmp_path, 2)
    assert outcomes(tmp_path) == ["feasible", "feasible"]


def test_a_device_that_always_dies_costs_no_candidate(searching: Search, tmp_path: Path) -> None:
    searching.mood("dies", "all")
    with pytest.raises(DeviceError, match="died 2 times"):
        searching.run(tmp_path, 3)
    assert outcomes(tmp_path) == []
    searching.mood("dies", "")
    searching.run(tmp_path, 3)
    assert outcomes(tmp_path) == ["feasible"] * 3


@pytest.mark.slow
def test_a_file_that_kills_or_stops_it_costs_its_candidate(
    searching: Search, tmp_path: Path
) -> None:
    searching.mood("dies", "0")
    searching.run(tmp_path, 2)
    first, second = read_records(tmp_path / "journal")
    assert (first.outcome, second.outcome) == ("failed", "feasible")
    assert "died 2 times" in first.reason
    searching.mood("hangs", str(second.number + 1))
    searching.run(tmp_path, 4, seconds_each=4.0)
    records = read_records(tmp_path / "journal")
    hung = [record for record in records if record.outcome == "failed"][1:]
    assert [record.reason for record in hung] == ["no answer after 4 s of the measuring process"]


def test_a_process_that_dies_by_itself_says_where(searching: Search, tmp_path: Path) -> None:
    heard: list[Record] = []
    observer = Callbacks(
        heard.append, traces=lambda number: traces_of(searching.moods / f".{number}.died")
    )
    job = Job("dying:segfault", {"folder": str(searching.moods)})
    search(searching.open(tmp_path), job, Resources(), Limits(1), observer)
    (record,) = heard
    assert record.reason.startswith("its process died: Segmentation fault, at File")
    assert "ctypes" in record.error
