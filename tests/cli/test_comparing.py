"""`measure` of several networks on several devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import FinishedRun
from loopback import Sshd
from torch import nn
from toys import ToyDevice

from orchestrator.cli import comparing
from orchestrator.cli.commands import main
from orchestrator.cli.comparing import compare
from orchestrator.cli.composing import compose_devices
from orchestrator.errors import CompileError, ConfigError, DeviceError
from orchestrator.study import load

NETWORKS = ["squeezenet/1.0", "squeezenet/1.1"]


class Twice(ToyDevice):
    """Takes twice as long; does not take files over a size."""

    def __init__(self, most: int = 10**9) -> None:
        self.most = most

    def latencies(self, artifacts: Any, reference_ms: float, folder: Path) -> Any:
        if any(artifact.size_bytes > self.most for artifact in artifacts):
            raise CompileError("it has no room for it")
        return super().latencies([*artifacts, *artifacts], reference_ms, folder)[: len(artifacts)]


class Dead(ToyDevice):
    def check(self) -> None:
        raise DeviceError("it is not there")


def test_each_network_is_told_beside_its_best_device(capsys: Any) -> None:
    compare(NETWORKS, {"a": ToyDevice(), "dead": Dead()}, as_json=False)
    head, first, second, *notes = capsys.readouterr().out.splitlines()
    assert head.split() == ["network", "a", "dead"]
    assert first.startswith("squeezenet/1.0") and "×1.00" in first and first.rstrip()[-1] == "–"
    assert second.startswith("squeezenet/1.1")
    assert notes == ["a: toy", "dead: it is not there"]


def test_one_that_a_device_does_not_take_does_not_cost_the_others(capsys: Any) -> None:
    compare(NETWORKS, {"small": Twice(most=1_240_000)}, as_json=True)
    told = json.loads(capsys.readouterr().out)
    first, second = (network["on"]["small"] for network in told["networks"])
    assert first == {"error": "it has no room for it"}
    assert second["ratio_to_best"] == 1 and second["size_bytes"] < 1_240_000


def test_nothing_measured_at_all_is_an_error(capsys: Any) -> None:
    with pytest.raises(DeviceError, match="nothing could be measured"):
        compare(NETWORKS[:1], {"dead": Dead()}, as_json=True)
    assert "it is not there" in capsys.readouterr().out


def test_a_bundle_and_a_network_are_measured_here_and_elsewhere(
    finished_run: FinishedRun, sshd: Sshd, capsys: Any
) -> None:
    bundle = str(finished_run.folder / load(finished_run.folder).finalists[0].folder)
    told = {**sshd.options, "folder": sshd.folder / "there"}
    options = [f"device.pi.{name}={value}" for name, value in told.items()]
    devices = ["--device", "here", "--device", "pi"]
    main(["measure", bundle, NETWORKS[1], *devices, *options, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["devices"]["here"] == found["devices"]["pi"]
    files = json.loads(Path(bundle, "genotype.json").read_text())["artifacts"]
    assert {row["network"] for row in found["networks"]} == {
        NETWORKS[1], *(f"{bundle} {label}" for label in files)
    }  # fmt: skip
    for row in found["networks"]:
        assert min(cell["ratio_to_best"] for cell in row["on"].values()) == 1
        assert all(cell["latency"]["runs"] > 0 for cell in row["on"].values())


def test_a_row_is_compiled_from_the_network_of_its_own_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def rebuilt(folder: Path, *, label: str) -> nn.Module:
        asked.append(label)
        return nn.Linear(1, 1)

    monkeypatch.setattr(comparing, "rebuild", rebuilt)
    facts = {"in_channels": 3, "image_size": 8, "artifacts": {"unpruned": {"format": "onnx"}}}
    comparing._exact(tmp_path, facts, ["unpruned"])(ToyDevice(), tmp_path / "model")
    assert asked == ["unpruned"]


def test_devices_are_those_of_a_search() -> None:
    found = compose_devices(["pi", "here"], ["device.pi.host=me@pi", "device.here.threads=2"])
    assert found["pi"].options["host"] == "me@pi" and found["here"].options["threads"] == 2
    assert list(compose_devices([], [])) == ["onnxruntime"]
    two = "device.two={name: onnxruntime, threads: 2}"
    assert list(compose_devices(["two", "here"], [two])) == ["two", "here"]
    assert compose_devices(["two"], [two])["two"].options == {"threads": 2}
    assert list(compose_devices([], [two])) == ["onnxruntime", "two"]
    with pytest.raises(ConfigError, match="no device is called 'pie'; did you mean 'pi'"):
        compose_devices(["pie"], [])
    with pytest.raises(ConfigError, match=r"device\.pi\.host: must be given"):
        compose_devices(["pi"], [])


def test_a_measurement_of_nothing_is_refused(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["measure", "device.onnxruntime.threads=2"])
    assert "nothing is named" in capsys.readouterr().err
