"""Latencies that an earlier session measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from toys import ToyDevice

from orchestrator import Artifact, Latency, Runtime
from orchestrator.measuring.gate import Gate
from orchestrator.search import latency_cache
from orchestrator.search.latency_cache import LatencyCache, caches_latencies
from orchestrator.search.meter import Meter


class Counted(Runtime):
    """Measures by the length of the file; `sessions` is how many files each one had."""

    name = "counted"
    formats: ClassVar[frozenset[str]] = frozenset({"txt"})

    def __init__(self, folder: Path, *, threads: int = 1, processor: str = "fast") -> None:
        self.folder, self.threads, self.processor = folder, threads, processor
        self.sessions: list[int] = []

    @property
    def options(self) -> Mapping[str, Any]:
        return {"threads": self.threads}

    def compile(self, network: Any, example: Any, path: Path, *, final: bool = False) -> Artifact:
        path.write_text(network)
        return Artifact(path, "txt", exact=True)

    def reference(self, folder: Path) -> Artifact:
        return self.compile("reference", None, folder / "reference")

    def fingerprint(self) -> Mapping[str, str]:
        return {"processor": self.processor}

    def calibrate(self, folder: Path) -> float:
        return 1.0

    def latencies(
        self, artifacts: Sequence[Artifact], reference_ms: float, folder: Path
    ) -> list[Latency]:
        self.sessions.append(len(artifacts))
        ratios = [float(artifact.size_bytes) for artifact in artifacts]
        return [Latency(r * reference_ms, r, r, r, r, 60, r, r) for r in ratios]


@pytest.fixture
def device(tmp_path: Path) -> Counted:
    return Counted(tmp_path)


def meter(monkeypatch: pytest.MonkeyPatch, device: Any, *, cached: bool = True) -> Meter:
    """A measuring process of the device, its cache in the device's folder."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(device.folder / "cache"))
    made = {device.name: device}, Gate(device.folder / "gate")
    monkeypatch.setattr(latency_cache, "made", lambda payload: made, raising=False)
    return Meter("orchestrator.search.latency_cache:made", {"latency_cache": cached})


def sent(device: Counted, *words: str) -> list[tuple[Artifact, list[bytes]]]:
    return [
        (device.compile(word, None, device.folder / f"{word}.txt"), [word.encode()])
        for word in words
    ]


def test_a_file_is_measured_once_and_says_so(
    device: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = meter(monkeypatch, device)
    (first,) = asked.measure(sent(device, "word"), ["counted"], {"counted": 1.0})
    (again,) = meter(monkeypatch, device).measure(
        sent(device, "word"), ["counted"], {"counted": 3.0}
    )
    assert device.sessions == [1]
    assert (first.source, again.source) == ("measured", "cache")
    # In units of the reference network as it is today.
    assert (first.ms, again.ms, again.interval_ms) == (4.0, 12.0, (12.0, 12.0))


def test_a_session_is_known_as_a_whole_or_measured_as_a_whole(
    device: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = meter(monkeypatch, device)
    asked.measure(sent(device, "word"), ["counted"], {"counted": 1.0})
    asked.measure(sent(device, "word", "other"), ["counted"] * 2, {"counted": 1.0})
    assert device.sessions == [1, 2]


def test_what_ships_is_measured_anew(device: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = meter(monkeypatch, device)
    asked.measure(sent(device, "word"), ["counted"], {"counted": 1.0})
    (fresh,) = asked.measure(sent(device, "word"), ["counted"], {"counted": 1.0}, True)
    assert device.sessions == [1, 1] and fresh.source == "measured"


def test_it_can_be_switched_off(device: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = meter(monkeypatch, device, cached=False)
    for _ in range(2):
        asked.measure(sent(device, "word"), ["counted"], {"counted": 1.0})
    assert device.sessions == [1, 1]
    monkeypatch.setenv("ORCHESTRATOR_LATENCY_CACHE", "off")
    assert not caches_latencies()
    monkeypatch.delenv("ORCHESTRATOR_LATENCY_CACHE")
    assert caches_latencies()


@pytest.mark.parametrize("change", [{"processor": "slow"}, {"threads": 2}, {"protocol": 99}])
def test_another_machine_setting_or_protocol_never_hits(
    device: Counted, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, folder = LatencyCache(device.folder / "cache"), device.folder
    artifact = device.compile("word", None, folder / "word.txt")
    cache.keep([(device, artifact)], device.latencies([artifact], 1.0, folder), folder)
    assert cache.find([(device, artifact)], 1.0, folder) is not None
    monkeypatch.setattr(latency_cache, "PROTOCOL", change.pop("protocol", latency_cache.PROTOCOL))
    other = Counted(folder, **change)
    assert cache.find([(other, artifact)], 1.0, folder) is None


def test_damage_and_devices_with_a_protocol_of_their_own_are_measured(device: Counted) -> None:
    cache, folder = LatencyCache(device.folder / "cache"), device.folder
    artifact = device.compile("word", None, folder / "word.txt")
    cache.keep([(device, artifact)], device.latencies([artifact], 1.0, folder), folder)
    for file in (folder / "cache").iterdir():
        file.write_text('{"format": 1, "ms": ')
    assert cache.find([(device, artifact)], 1.0, folder) is None
    assert cache.find([(ToyDevice(), artifact)], 1.0, folder) is None
