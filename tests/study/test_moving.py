"""A run goes on with images in another folder and a device under another name, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.candidate.former import as_it_began, with_absolute_paths
from orchestrator.config import Chosen, StudyConfig, check_config
from orchestrator.errors import ConfigError, RunError
from orchestrator.plugins import installed
from orchestrator.study.moving import check_same_devices, moved
from orchestrator.study.run_folder import RunFolder

CONFIG: dict[str, Any] = {
    "space": {"name": "mobilenetv3"},
    "dataset": {"name": "image_folder", "root": "photos", "image_size": 32},
    "device": {"pi": {"name": "onnxruntime", "place": "ssh", "host": "a", "threads": 1}},
    "estimator": {"name": "train"},
    "sampler": {"name": "random"},
    "objective": {"accuracy": {}},
}


@pytest.fixture
def config() -> StudyConfig:
    return check_config(CONFIG)


def test_images_and_a_device_may_be_elsewhere(config: StudyConfig, tmp_path: Path) -> None:
    words = [f"dataset.root={tmp_path}/ü (1)", "device.pi.host=b", "device.port=22"]
    found = moved(config, words, installed())
    assert found.config.dataset.options["root"] == f"{tmp_path}/ü (1)"
    assert found.config.device["pi"].options["host"] == "b"
    assert found.config.device["pi"].options["port"] == 22
    assert found.notes[1] == "device.pi.host is b now, a before."
    assert replace(found.config, dataset=config.dataset, device=config.device) == config


@pytest.mark.parametrize(
    "word",
    [
        "dataset.image_size=64",
        "dataset.seed=1",
        "device.pi.threads=2",
        "device.two.host=b",
        "train.epochs=9",
        "dataset.root",
        "objective.accuracy.min=0.5",
    ],
)
def test_what_would_change_what_was_measured_is_refused(config: StudyConfig, word: str) -> None:
    with pytest.raises(ConfigError, match=r"expected dataset\.root=…, .*device\.pi\.host=…"):
        moved(config, [word], installed())


def test_another_machine_is_refused() -> None:
    device = SimpleNamespace(fingerprint=lambda: {"processor": "B", "threads": "1"})
    factory: Any = SimpleNamespace(assembly=SimpleNamespace(measured={"pi": device}))
    plan: Any = SimpleNamespace(fingerprints={"pi": {"processor": "A", "threads": "1"}})
    with pytest.raises(RunError, match="processor: 'A' before, 'B' now"):
        check_same_devices(factory, plan)
    plan.fingerprints["pi"]["processor"] = "B"
    check_same_devices(factory, plan)


def test_where_things_are_is_kept_absolute(
    config: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "teacher").mkdir()
    found = with_absolute_paths(replace(config, teacher="teacher"), installed())
    assert found.dataset.options["root"] == str(tmp_path / "photos")
    assert found.teacher == str(tmp_path / "teacher")
    own = replace(config, teacher="m:f@w.pt")
    assert with_absolute_paths(own, installed()).teacher == "m:f@w.pt"
    RunFolder(tmp_path).keep_config(found)
    assert RunFolder(tmp_path).config() == found


def test_a_run_of_before_an_option_does_as_it_did(config: StudyConfig) -> None:
    assert as_it_began(config, installed()).dataset.options["rules"] == 1
    now = replace(config, dataset=Chosen("image_folder", {"root": "photos", "rules": 2}))
    assert as_it_began(now, installed()) == now
    gone = replace(config, dataset=Chosen("of_a_plugin_that_is_gone", {}))
    assert as_it_began(gone, installed()) == gone
