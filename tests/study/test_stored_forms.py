"""What a search leaves on disk: forms of before are read, newer ones are one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.analysis.agreement import read_checks
from orchestrator.config import check_config
from orchestrator.contracts import Axis
from orchestrator.errors import RunError
from orchestrator.estimators.anchors import Anchor, read_anchors, write_anchors
from orchestrator.files import write_json
from orchestrator.plan.planning import Plan, Seed
from orchestrator.records import Check, Finalist, Genotype, Record
from orchestrator.search.journal import read_result
from orchestrator.study.run_folder import RunFolder

PLAN = Plan(
    space_size=16.0,
    axes=[Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 9.0)],
    ranges={"params": (1.0, 9.0)},
    seeds=[Seed("wide", {"width": 4})],
    teacher=None,
    reference_ms={"some": 1.0},
    fingerprints={"some": {"processor": "toy"}},
    seconds=60.0,
    disk_bytes=1e6,
)
CONFIG = {group: {"name": "some"} for group in ("space", "dataset", "device")} | {
    "estimator": {"name": "train"},
    "sampler": {"name": "tpe"},
    "objective": {"accuracy": {"name": "accuracy"}},
}


@pytest.fixture
def home(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.start(check_config(CONFIG), PLAN, ["+search=toy"])
    folder.write_finalists([Finalist("0001")])
    return folder


def _changed(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    text = path.read_text()
    data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    path.write_text(json.dumps(change(data)))


READERS = {
    "plan.json": RunFolder.plan,
    "config.yaml": RunFolder.config,
    "finalists.json": RunFolder.finalists,
}


@pytest.mark.parametrize("name", READERS)
def test_a_newer_form_is_one_error_naming_the_file(home: RunFolder, name: str) -> None:
    _changed(home.path / name, lambda data: {**data, "format": 99})
    with pytest.raises(RunError, match=r"has format 99.* a newer Orchestrator") as caught:
        READERS[name](home)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", READERS)
def test_a_form_without_a_number_is_read_like_today_s(home: RunFolder, name: str) -> None:
    def before(data: dict[str, Any]) -> Any:
        rest = {key: value for key, value in data.items() if key != "format"}
        if name == "plan.json":  # of the one device that there was
            rest["fingerprint"] = rest.pop("fingerprints")["some"]
            rest["reference_ms"] = rest["reference_ms"]["some"]
        if name == "config.yaml":
            rest["device"] = rest["device"]["some"]
        return rest["finalists"] if name == "finalists.json" else rest

    today = READERS[name](home)
    _changed(home.path / name, before)
    assert READERS[name](home) == today
    assert today


def test_anchors_of_a_proxy_too(tmp_path: Path) -> None:
    path, anchors = tmp_path / "proxy.json", [Anchor(Genotype("toy", "small", {}), 1.0)]
    write_anchors(path, "zen", anchors)
    assert json.loads(path.read_text())["format"] == 1
    _changed(path, lambda data: {key: data[key] for key in ("proxy", "anchors")})
    assert read_anchors(path, "zen") == anchors
    _changed(path, lambda data: {**data, "format": 2})
    with pytest.raises(RunError, match="has format 2"):
        read_anchors(path, "zen")


def test_what_a_worker_kept_and_a_check_too(tmp_path: Path) -> None:
    record = Record(0, Genotype("toy", "small", {}), "feasible")
    check = Check(record, 0.5, 0.6, 2)
    write_json(tmp_path / "0000.json", {**check.to_json(), "format": 99})
    with pytest.raises(RunError, match=r"0000\.json: a check has format 99"):
        read_checks(tmp_path)
    write_json(tmp_path / "0000.json", {**record.to_json(), "format": 99})
    with pytest.raises(RunError, match=r"0000\.json: .* has format 99"):
        read_result(tmp_path / "0000.json")


SECRET = "S3cr3t"
URI = f"http://me:{SECRET}@127.0.0.1:9/x?token={SECRET}&page=2"


def test_a_run_s_folder_keeps_it_for_its_owner_alone(tmp_path: Path) -> None:
    config = check_config({**CONFIG, "tracking": {"uri": URI}})
    home = RunFolder(tmp_path / "run")
    home.start(config, PLAN, ["+search=toy", f"tracking.uri={URI}"])
    telling = [path.name for path in home.path.iterdir() if SECRET in path.read_text()]
    assert telling == ["secrets.json"]
    assert (home.path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert home.config() == config


def test_nothing_is_kept_where_there_is_no_secret(tmp_path: Path) -> None:
    home = RunFolder(tmp_path / "run")
    home.start(check_config(CONFIG), PLAN, [])
    assert not (home.path / "secrets.json").exists()
