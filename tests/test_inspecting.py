from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import FinishedRun

from orchestrator.cli import main
from orchestrator.study import load


@pytest.fixture(scope="module")
def bundle(finished_run: FinishedRun) -> Path:
    return finished_run.folder / load(finished_run.folder).finalists[0]["folder"]


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
    assert found["size_bytes"] == (bundle / facts["recommended"]).stat().st_size
    assert found["params"] == facts["figures"]["params"]
    assert found["macs"] == facts["figures"]["macs"]
    assert 0 < found["latency_low_ms"] <= found["latency_median_ms"] <= found["latency_p95_ms"]


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
