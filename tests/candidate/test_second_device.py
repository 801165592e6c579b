"""A second device that reads another format: its own files, with figures, gate and usage lines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_factory import factory, genotype
from toys import toy_latencies
from whole_files import AXES as FIRST_AXES
from whole_files import OtherWhole, WholeDevice

from orchestrator.bundle import read_facts, verify
from orchestrator.candidate.finalists import Elected, finish
from orchestrator.contracts import Artifact, Axis, Usage
from orchestrator.errors import RunError
from orchestrator.records import Finalist, Record, ShippedFile, Step

pytestmark = pytest.mark.usefixtures("toys", "whole")

AXES = [*FIRST_AXES, Axis("latency_ms@there", "ms", "minimize", reference=1e6)]
DEVICES = {"here": {"name": "whole"}, "there": {"name": "other_whole"}}
OBJECTIVE = {
    "latency_ms@there": {"name": "latency_ms", "device": "there"},
    "size_bytes": {"name": "size_bytes", "role": "reported"},
}
STEPS = (Step("halving", {"halve": True}), Step("rounding", {"scheme": "int8"}))


def finished(folder: Path, measure: Any = toy_latencies, **groups: Any) -> Finalist:
    record = Record(3, genotype(compression=STEPS), "feasible", {"accuracy": 0.5})
    wanted = {
        "compressor": {name: {"name": name} for name in ("halving", "rounding")},
        "device": DEVICES,
        "objective": OBJECTIVE,
        "train": {"final_epochs": 1, "batch_size": 8},
        **groups,
    }
    return finish(Elected(record, AXES), factory(folder, **wanted), measure)


def by_label(finalist: Finalist) -> dict[str, ShippedFile]:
    return {file.label: file for file in finalist.files}


def test_each_device_has_files_with_figures_of_their_own(tmp_path: Path) -> None:
    files = by_label(finished(tmp_path))
    assert {label: tuple(file.latencies) for label, file in files.items()} == {
        "unpruned": ("here",),
        "there.unpruned": ("there",),
        "fp32": ("here",),
        "there.fp32": ("there",),
        "int8": ("here",),
    }
    for label, file in files.items():
        own, others = ("latency_ms@there", "latency_ms")[:: 1 if "there" in label else -1]
        assert file.values[own] == file.latency.ms == file.size_bytes / 100  # type: ignore[union-attr]
        assert others not in file.values and "accuracy" in file.values
        assert ("size_bytes" in file.values) == ("there" not in label)  # asked of the first device
        assert file.verified and (tmp_path / file.file).stat().st_size == file.size_bytes
    second = files["there.fp32"]
    assert (second.runtime, second.file_format) == ("other_whole", "other")
    assert (second.before, second.steps) == ("there.unpruned", ("halving",))


def test_the_file_that_leads_on_each_device_is_named_wherever_people_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(device: Any, artifact: Artifact) -> Usage:
        return Usage((device.name,), f"logits = {device.name}('{artifact.path.name}', images)")

    monkeypatch.setattr(WholeDevice, "usage", usage)
    finalist = finished(tmp_path)
    assert finalist.leads == {"here": finalist.label, "there": finalist.leads["there"]}
    second = by_label(finalist)[finalist.leads["there"]]
    assert second.recommended and tuple(second.latencies) == ("there",)
    facts = read_facts(tmp_path / finalist.folder)
    assert facts["leads"] == finalist.leads and facts["recommended"] == finalist.label
    card = (tmp_path / finalist.folder / "card.md").read_text("utf-8")
    name = Path(second.file).name
    assert f"| there | {name} ({second.label}) | other_whole |" in card
    lines = card.partition("### On there")[2]
    assert f"predict FOLDER IMAGES --file {second.label}`" in lines
    assert f"logits = other_whole('{name}', images)" in lines
    assert Finalist.from_json(json.loads(json.dumps(finalist.to_json()))) == finalist


def test_a_file_is_judged_against_those_of_its_own_device(tmp_path: Path) -> None:
    """There everything takes 9 ms, so that pruning does not pay; here it does."""

    def measure(artifacts: Any, device: Any) -> list[Any]:
        slow = {artifact.path for artifact in artifacts if artifact.format == "other"}
        found = zip(artifacts, toy_latencies(artifacts), strict=True)
        return [replace(lat, ms=9.0) if one.path in slow else lat for one, lat in found]

    files = by_label(finished(tmp_path, measure))
    assert files["fp32"].latency.ms < files["unpruned"].latency.ms  # type: ignore[union-attr]
    marks = files["there.fp32"].marks
    assert any(mark.endswith("better than in there.unpruned") for mark in marks)
    assert not files["there.fp32"].recommended and files["there.unpruned"].recommended


def test_a_budget_of_one_device_breaks_no_file_of_another(tmp_path: Path) -> None:
    limited = {"name": "latency_ms", "device": "there", "max": 1e-3}
    finalist = finished(tmp_path, objective={**OBJECTIVE, "latency_ms@there": limited})
    marked = {label for label, file in by_label(finalist).items() if "budget" in str(file.marks)}
    assert marked == {"there.unpruned", "there.fp32"}
    assert finalist.recommended


def test_what_a_quantizer_cannot_treat_there_is_called_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file here is rounded; the second device's is not, and says so."""
    monkeypatch.setattr("whole_files.Rounding.suggest", lambda *_: {"scheme": "int8"})
    files = by_label(finished(tmp_path))
    assert files["there.fp32"].steps == ("halving",) and files["there.fp32"].agreement is None
    assert "there.int8" not in files and "fp32" not in files
    assert files["int8"].steps == ("halving", "rounding")


def test_rebuilt_elsewhere_each_answers_as_it_was_shipped(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    finalist = finished(tmp_path / "run")
    folder = Path(shutil.copytree(tmp_path / "run" / finalist.folder, tmp_path / "elsewhere"))
    shutil.rmtree(tmp_path / "run")
    found = verify(folder, {"whole": WholeDevice(), "other_whole": OtherWhole()})
    assert found.skipped == () and found.drifts.keys() == by_label(finalist).keys()
    assert max(found.drifts.values()) < 1e-6


def test_devices_of_one_format_share_a_file_and_each_has_its_leader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WholeDevice, "compiles_like", lambda device, other: True)
    devices = {"here": {"name": "whole"}, "there": {"name": "whole"}}
    finalist = finished(tmp_path, device=devices)
    for file in finalist.files:
        assert tuple(file.latencies) == ("here", "there")
        assert {"latency_ms", "latency_ms@there"} <= file.values.keys()
    assert finalist.leads.keys() == {"here", "there"}


def test_one_device_is_told_as_versions_before_read_it(tmp_path: Path) -> None:
    finalist = finished(tmp_path, device={"here": DEVICES["here"]}, objective={})
    assert "leads" not in finalist.to_json() and finalist.leads == {}
    folder = tmp_path / finalist.folder
    facts = json.loads((folder / "genotype.json").read_text())
    del facts["leads"], facts["usages"]
    (folder / "genotype.json").write_text(json.dumps(facts))
    assert read_facts(folder)["recommended"] == finalist.label
    (folder / "genotype.json").write_text(json.dumps({**facts, "leads": {"there": "none"}}))
    with pytest.raises(RunError, match=r"leads.there: found 'none', expected one of its artifacts"):
        read_facts(folder)
