"""What workers run, called here in this process: plain values in, plain values out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from toy_factory import TOY_CONFIG, genotype
from toys import ToyDevice, toy_latencies

from orchestrator.config import check_config, flat_config
from orchestrator.records import Check, Record
from orchestrator.search import worker

pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What all payloads of a run share; measuring asks the toy device and no meter."""
    monkeypatch.setattr(
        "orchestrator.search.meter.measure_with", lambda meters, **how: toy_latencies
    )
    config = json.dumps(flat_config(check_config(TOY_CONFIG)))
    yield {"config": config, "folder": str(tmp_path), "meters": {}}
    worker._factory.cache_clear()


def candidate(number: int = 3) -> dict[str, Any]:
    drawn = genotype().to_json()
    choices = {"kind": "plain", "width": 4}
    return {"number": number, "genotype": drawn, "choices": choices, "origin": "sampler"}


def kept(folder: Path, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((folder / name).read_text())
    return found


def test_a_candidate_s_record_is_on_disk_before_it_is_told(
    common: dict[str, Any], tmp_path: Path
) -> None:
    told = worker.evaluate_candidate({**common, **candidate()})
    assert json.loads(json.dumps(told)) == kept(tmp_path, "results/0003.json")
    record = Record.from_json(told)
    assert (record.number, record.outcome, record.origin) == (3, "feasible", "sampler")
    assert record.choices == {"kind": "plain", "width": 4}
    assert record.genotype == genotype()
    assert record.curve == pytest.approx((0.1, 0.2))


def test_rivals_come_as_plain_values(common: dict[str, Any]) -> None:
    cheap = {"accuracy": 0.9, "params": 1.0, "latency_ms": 0.1}
    rivals = [[cheap, [0.9, 0.95]]] * 3
    record = Record.from_json(
        worker.evaluate_candidate({**common, **candidate(), "rivals": rivals})
    )
    assert record.outcome == "stopped"


def test_a_broken_candidate_is_a_record_too(common: dict[str, Any], tmp_path: Path) -> None:
    config = {**TOY_CONFIG, "estimator": {"name": "toy_train", "fails": True}}
    broken = {**common, "config": json.dumps(flat_config(check_config(config)))}
    record = Record.from_json(worker.evaluate_candidate({**broken, **candidate()}))
    assert (record.outcome, record.step, record.reason) == ("failed", "training", "the loss is nan")
    assert kept(tmp_path, "results/0003.json")["outcome"] == "failed"


def test_a_check_remembers_the_estimate_and_what_was_trained_before(
    common: dict[str, Any], tmp_path: Path
) -> None:
    before = worker.evaluate_candidate({**common, **candidate()})
    asked = {"record": before, "estimated": 0.7, "epochs": 2, "total": 5}
    check = Check.from_json(worker.check_candidate({**common, **asked}))
    assert (check.estimated, check.epochs) == (0.7, 5)
    assert check.record.number == 3 and check.record.choices == before["choices"]
    assert check.macs == 64 * 4 + 4 * 2
    assert kept(tmp_path, "checks/0003-005.json")["estimated"] == 0.7


def test_an_estimator_is_prepared_and_says_what_it_became(common: dict[str, Any]) -> None:
    told = {"notes": [], "approximate": False, "foretells": False}
    assert worker.prepare_estimator(common) == told


def test_one_factory_serves_all_candidates_of_a_run(common: dict[str, Any]) -> None:
    for number in (1, 2):
        worker.evaluate_candidate({**common, **candidate(number)})
    assert worker._factory.cache_info().misses == 1


def test_devices_are_made_by_their_names(common: dict[str, Any]) -> None:
    named = next(iter(check_config(TOY_CONFIG).device))
    devices, gate = worker.measuring_devices({**common, "devices": [named]})
    assert isinstance(devices[named], ToyDevice)
    with gate.shared():
        pass


@pytest.mark.parametrize(
    ("text", "share"),
    [("1 4", 0.25), ("9 4", 1.0), ("1 0", 0.0), ("", 0.0), ("one of four", 0.0), (None, 0.0)],
)
def test_progress_is_a_share_or_nothing(tmp_path: Path, text: str | None, share: float) -> None:
    (tmp_path / "weights").mkdir()
    if text is not None:
        (tmp_path / "weights" / ".progress").write_text(text)
    assert worker.progress_of(tmp_path) == share


def test_progress_is_written_seldom_and_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    tell = worker._Progress(worker._progress_file(tmp_path))
    shares = []
    for done in (1, 2, 4):
        tell(done, 4)
        shares.append(worker.progress_of(tmp_path))
    assert shares == [0.25, 0.25, 1.0]
