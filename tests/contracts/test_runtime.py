"""A runtime whose files are words, measured by an agent of its own."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from words_runtime import Words

from orchestrator import Artifact, Here, Runtime, usable_cores
from orchestrator.errors import CompileError, DeviceError
from orchestrator.measuring import agent
from orchestrator.measuring.gate import Gate, quiet


class Elsewhere(Here):
    name = "elsewhere"
    shares_host = False


class Threaded(Words):
    """With so many threads, whatever a loader makes of them."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder)
        self.count = count

    @property
    def options(self) -> Mapping[str, int]:
        return {"threads": self.count}


@pytest.fixture
def words(tmp_path: Path) -> Iterator[Words]:
    device = Words(tmp_path)
    yield device
    device.close()


def latency_ms(device: Words, *contents: str) -> list[float]:
    artifacts = [
        device.compile(content, None, device.folder / f"{number}.txt")
        for number, content in enumerate(contents)
    ]
    return [latency.ms for latency in device.latencies(artifacts, 1.0, device.folder)]


def test_it_is_measured_by_the_agent_in_units_of_the_reference(words: Words) -> None:
    assert words.calibrate(words.folder) >= 1.0
    slow, slower = latency_ms(words, "0.002", "0.004")
    assert 1.2 < slow < slower
    assert words.fingerprint()["runtime"] == "words 1"


def test_more_threads_than_cores_are_refused(tmp_path: Path) -> None:
    cores = usable_cores()
    Threaded(tmp_path, cores).check()
    told = rf"device\.words\.threads: found {cores + 1}, expected at most {cores}, the cores"
    many = Threaded(tmp_path, cores + 1)
    with pytest.raises(DeviceError, match=told):
        many.check()
    away = many.at(Elsewhere())
    with pytest.raises(DeviceError, match=f"{told} that may be used at elsewhere"):
        away.fingerprint()
    away.close()


def test_a_process_counts_the_cores_that_it_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores() == 1
    assert (agent.machine()["cores"], agent.machine()["usable_cores"]) == ("8", "1")


def test_a_file_that_does_not_load_is_the_candidates_fault(words: Words) -> None:
    with pytest.raises(CompileError, match=r"does not load 1\.txt: no network"):
        latency_ms(words, "0.001", "broken")
    assert latency_ms(words, "0.001")


def test_so_is_one_that_the_runtime_dies_of(words: Words) -> None:
    with pytest.raises(CompileError, match=r"does not survive 0\.txt: .*SIGKILL"):
        latency_ms(words, "deadly")
    assert latency_ms(words, "0.001")


def test_one_that_dies_of_the_reference_too_is_a_lost_device(tmp_path: Path) -> None:
    lost = Words(tmp_path, reference="deadly")
    with pytest.raises(DeviceError, match="SIGKILL"):
        latency_ms(lost, "0.001")
    lost.close()


def test_it_is_pickled_without_its_agent_and_placed_elsewhere(words: Words) -> None:
    words.fingerprint()
    twin = pickle.loads(pickle.dumps(words))
    away = words.at(Elsewhere())
    assert "_agent" not in twin.__dict__ and "_agent" not in away.__dict__
    assert (words.place_name, words.shares_host) == ("here", True)
    assert (away.place_name, away.shares_host) == ("elsewhere", False)
    assert away.compiles_like(words)


def test_our_trainings_pause_only_for_measurements_here(words: Words, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    with gate.shared(), quiet(gate, here=words.at(Elsewhere()).shares_host):
        pass  # would wait for ever
    with quiet(gate, here=words.shares_host):
        locks = sorted(path.name for path in gate.folder.iterdir())
    assert locks == ["room.lock", "turnstile.lock"]


def test_closing_ends_the_agent(words: Words) -> None:
    words.fingerprint()
    process = words.__dict__["_agent"]._process
    words.close()
    assert process.poll() is not None


class Phrases(Words):
    name = "phrases"


@pytest.fixture
def joined(tmp_path: Path) -> Iterator[tuple[Words, Words]]:
    """Two runtimes that one agent times."""
    for name in ("words", "phrases"):
        (tmp_path / name).mkdir()
    pair = Words(tmp_path / "words"), Phrases(tmp_path / "phrases")
    Runtime.join(pair)
    yield pair
    pair[0].close()


def file_of(device: Words, content: str) -> tuple[Words, Artifact]:
    return device, device.compile(content, None, device.folder / f"{content}.txt")


def test_joined_runtimes_are_measured_in_one_session_by_one_agent(
    joined: tuple[Words, Words],
) -> None:
    first, second = joined
    files = [file_of(first, "0.002"), file_of(second, "0.004")]
    slow, slower = first.latencies_together(files, 1.0, first.folder)
    assert 1.2 < slow.ms < slower.ms
    assert second.owner is first and second.fingerprint()["runtime"] == "words 1"
    assert "_agent" in first.__dict__ and "_agent" not in second.__dict__


def test_what_does_not_load_is_named_with_its_own_runtime(joined: tuple[Words, Words]) -> None:
    first, second = joined
    with pytest.raises(CompileError, match=r"phrases does not load broken\.txt"):
        first.latencies_together(
            [file_of(first, "0.001"), file_of(second, "broken")], 1.0, first.folder
        )


def test_what_was_not_joined_is_measured_apart(joined: tuple[Words, Words], words: Words) -> None:
    first, _ = joined
    with pytest.raises(DeviceError, match="words was not joined to words"):
        first.latencies_together(
            [file_of(first, "0.001"), file_of(words, "0.001")], 1.0, first.folder
        )


def test_at_another_place_it_is_joined_to_none(joined: tuple[Words, Words]) -> None:
    away = joined[1].at(Elsewhere())
    assert away.owner is away
    first, second = pickle.loads(pickle.dumps(joined))
    assert second.owner is first
