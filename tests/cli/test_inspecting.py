from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from command_line import FinishedRun
from orchestrator_spaces.mobilenetv3 import MobileNetV3Space

from orchestrator.cli.commands import main
from orchestrator.study import load


@pytest.fixture(scope="module")
def bundle(finished_run: FinishedRun) -> Path:
    return finished_run.folder / load(finished_run.folder).finalists[0].folder


@pytest.fixture
def tampered(bundle: Path, tmp_path: Path) -> Path:
    """A copy whose weights differ in one bit."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return folder


def test_a_finalist_is_rebuilt_and_is_the_same_function(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["rebuild", str(bundle)])
    printed = capsys.readouterr().out
    assert "MobileNetV3" in printed and "is the same function" in printed


def test_a_file_that_is_a_program_runs_only_where_that_is_asked_for(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    facts = json.loads((folder / "genotype.json").read_text())
    for entry in facts["artifacts"].values():
        entry.update(runtime="torch", format="pt2")
    (folder / "genotype.json").write_text(json.dumps(facts))
    main(["rebuild", str(folder)])
    assert "file was not run: it is a program, which can do any" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["rebuild", str(folder), "--programs"])
    assert "torch does not load model" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["rebuild", "measure"])
def test_a_tampered_finalist_is_refused(
    tampered: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, str(tampered)])
    assert end.value.code == 2
    assert "weights.safetensors" in capsys.readouterr().err


def test_a_finalists_file_is_measured(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["measure", str(bundle), "--json"])
    found = json.loads(capsys.readouterr().out)
    facts = json.loads((bundle / "genotype.json").read_text())
    file = facts["artifacts"][facts["recommended"]]["file"]
    assert found["size_bytes"] == (bundle / file).stat().st_size
    assert found["params"] == facts["figures"]["params"]
    assert found["macs"] == facts["figures"]["macs"]
    assert 0 < found["latency_low_ms"] <= found["latency_median_ms"] <= found["latency_p95_ms"]
    assert found["latency_from_ms"] <= found["latency_ms"] <= found["latency_to_ms"]


def test_a_folder_without_an_exported_file_is_exported(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "teacher"
    shutil.copytree(bundle, folder)
    facts = json.loads((folder / "genotype.json").read_text())
    (folder / "genotype.json").write_text(json.dumps({**facts, "recommended": None}))
    main(["measure", str(folder), "--json"])
    assert json.loads(capsys.readouterr().out)["latency_ms"] > 0


def test_a_published_network_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["measure", "mobilenetv3/small-0.75"])
    printed = capsys.readouterr().out
    assert "2.04 M" in printed and "43.4 M" in printed
    assert "latency" in printed and "ms" in printed


def test_networks_are_listed_with_both_figures(capsys: pytest.CaptureFixture[str]) -> None:
    main(["networks", "mobilenetv3/SMALL", "large-0.75"])
    printed = capsys.readouterr().out
    (row,) = (line for line in printed.splitlines() if line.startswith("mobilenetv3/small-0.75 "))
    for text in ("2.04 M / 2.04 M", "43.4 M / 43.4 M", "224", "65.4 %", "arXiv:1905.02244"):
        assert text in row
    assert "mobilenetv3/large-0.75" in printed and "efficientformer" not in printed
    assert "Counted: 6. Different from what is published (≠): 0." in printed


def test_networks_are_listed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["networks", "mobilenetv3/large-1", "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert row.pop("source")
    assert row == {
        "name": "mobilenetv3/large-1.0",
        "family": "mobilenetv3",
        "image_size": 224,
        "params": 5_483_032,
        "published_params": 5_483_032,
        "macs": 216_589_760,
        "published_macs": 216_589_760,
        "top1_percent": 75.2,
    }


def test_a_figure_that_differs_is_marked_and_an_unpublished_one_is_a_dash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    point = MobileNetV3Space(preset="full").published()["large-1.0"]
    wrong = dataclasses.replace(point, params=5_483_033, macs=None, top1_percent=None)
    monkeypatch.setattr(MobileNetV3Space, "published", lambda space: {"wrong": wrong})
    main(["networks", "mobilenetv3/wrong"])
    printed = capsys.readouterr().out
    assert "5,483,032 ≠ 5,483,033" in printed and "217 M / –" in printed
    assert "Counted: 1. Different from what is published (≠): 1." in printed
