"""All files of a finalist's network: each in its folder, with figures that are its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_factory import factory, genotype
from toys import toy_latencies
from whole_files import AXES, OtherWhole, Rounding, WholeDevice

from orchestrator.bundle import artifact_of, check_images, read_facts, rebuild, verify
from orchestrator.candidate import finalists
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.finalists import Elected, finish
from orchestrator.contracts import CompressionContext, Kernel
from orchestrator.records import Finalist, Record, ShippedFile, Step

pytestmark = pytest.mark.usefixtures("toys", "whole")

NAMES = ("softening", "halving", "learning", "rounding")
PRUNED = (Step("halving", {"halve": True}), Step("rounding", {"scheme": "int8"}))


def made(folder: Path, **groups: Any) -> Factory:
    compressor = {name: {"name": name} for name in NAMES}
    device = {"here": {"name": "whole", "runtime": ["whole", "other_whole"]}}
    train = {"final_epochs": 2, "batch_size": 8}
    groups = {"compressor": compressor, "device": device, "train": train, **groups}
    return factory(folder, **groups)


def finished(folder: Path, steps: tuple[Step, ...] = PRUNED, **groups: Any) -> Finalist:
    folder.mkdir(parents=True, exist_ok=True)
    record = Record(3, genotype(compression=steps), "feasible", {"accuracy": 0.5})
    plain = replace(record.genotype, compression=steps[:1])
    variants = [Record(8, plain, "feasible", network=3)]
    return finish(Elected(record, AXES, variants), made(folder, **groups), toy_latencies)


def by_label(finalist: Finalist) -> dict[str, ShippedFile]:
    return {file.label: file for file in finalist.files}


def test_every_figure_belongs_to_a_file_of_the_folder(tmp_path: Path) -> None:
    finalist = finished(tmp_path)
    files = by_label(finalist)
    wanted = {"unpruned", "other_whole.unpruned", "fp32", "other_whole.fp32", "int8"}
    assert files.keys() == wanted
    for file in files.values():
        assert (tmp_path / file.file).stat().st_size == file.size_bytes
        assert file.verified and file.latency and file.macs
        assert file.latency.ms == file.values["latency_ms"] == file.size_bytes / 100
    assert files["unpruned"].macs > files["fp32"].macs == files["int8"].macs  # type: ignore[operator]
    assert files["unpruned"].values["params"] > files["fp32"].values["params"]
    assert 0 <= files["int8"].agreement <= 1  # type: ignore[operator]
    assert [label for label, file in files.items() if file.agreement is not None] == ["int8"]


def test_layers_that_an_approximation_leaves_in_float_are_in_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Kernel("a", "Conv", "int8", 0.4), Kernel("b", "HardSigmoid", "float32", 0.25)]
    monkeypatch.setattr(WholeDevice, "kernels", lambda device, artifact: found)
    finalist = finished(tmp_path)
    told = {label: file.in_float for label, file in by_label(finalist).items() if file.in_float}
    assert told == {"int8": ("1 × HardSigmoid: 25% of the time",)}
    card = (tmp_path / finalist.folder / "card.md").read_text()
    assert "| int8 | 1 × HardSigmoid: 25% of the time |" in card


def test_each_step_stands_beside_the_file_before_it(tmp_path: Path) -> None:
    files = by_label(finished(tmp_path))
    assert {label: (file.before, file.steps) for label, file in files.items()} == {
        "unpruned": ("", ()),
        "other_whole.unpruned": ("", ()),
        "fp32": ("unpruned", ("halving",)),
        "other_whole.fp32": ("other_whole.unpruned", ("halving",)),
        "int8": ("fp32", ("halving", "rounding")),
    }
    assert {label: file.number for label, file in files.items() if file.number is not None} == {
        "fp32": 8,
        "int8": 3,
    }


def test_one_network_is_trained_once_for_all_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Any] = []
    train = finalists.train

    def counted(*given: Any) -> Any:
        runs.append(1)
        return train(*given)

    monkeypatch.setattr(finalists, "train", counted)
    finished(tmp_path)
    assert runs == [1]


def test_the_file_that_leads_is_the_finalists(tmp_path: Path) -> None:
    finalist = finished(tmp_path)
    lead = by_label(finalist)[finalist.label]
    assert lead.recommended and finalist.recommended
    told = finalist.file, finalist.values, finalist.figures["latency_ms"]
    assert told == (lead.file, lead.values, lead.latency.ms)  # type: ignore[union-attr]
    assert not finalist.figures.keys() & {"latency_fp32_ms", "test_accuracy_fp32"}
    facts = read_facts(tmp_path / finalist.folder)
    assert facts["recommended"] == finalist.label
    assert Finalist.from_json(json.loads(json.dumps(finalist.to_json()))) == finalist


def test_a_file_that_cannot_be_made_is_told_and_the_others_ship(tmp_path: Path) -> None:
    compressor = {"halving": {"name": "halving"}, "rounding": {"name": "rounding", "fails": True}}
    finalist = finished(tmp_path, compressor=compressor)
    assert "int8" not in by_label(finalist) and "fp32" in by_label(finalist)
    assert "rounding could not be made: it does not round today" in finalist.marks


def test_the_card_tells_each_file(tmp_path: Path) -> None:
    finalist = finished(tmp_path)
    card = (tmp_path / finalist.folder / "card.md").read_text("utf-8")
    assert "| trained → halving → rounding |" in card
    for file in finalist.files:
        assert f"| {file.label}" in card


@pytest.mark.parametrize(
    "steps",
    [
        (Step("rounding", {"scheme": "int8"}),),
        PRUNED,
        (Step("learning", {"learn": True}), Step("rounding", {"scheme": "int8"})),
        (Step("halving", {"halve": True}), Step("learning", {"learn": True}), PRUNED[1]),
        (*PRUNED, Step("softening", {"soft": True})),  # in the order of names, as only one is legal
    ],
    ids=["int8", "pruned", "learnt ranges", "pruned, learnt ranges", "taught, pruned"],
)
def test_rebuilt_elsewhere_it_answers_as_the_files_that_were_shipped(
    tmp_path: Path, steps: tuple[Step, ...]
) -> None:
    finalist = finished(tmp_path / "run", steps)
    folder = Path(shutil.copytree(tmp_path / "run" / finalist.folder, tmp_path / "elsewhere"))
    shutil.rmtree(tmp_path / "run")
    facts = read_facts(folder)
    runtimes = {"whole": WholeDevice(), "other_whole": OtherWhole()}
    found = verify(folder, runtimes)
    assert found.skipped == () and max(found.drifts.values()) < 1e-6
    exact = set(by_label(finalist)) - {"int8"}
    assert found.differences.keys() == exact
    facts_of_images = made(tmp_path).assembly.facts
    images = facts_of_images.normalise(check_images(facts_of_images))
    for label in exact:
        answers = rebuild(folder, label=label)(images).detach()
        device = runtimes[facts["artifacts"][label]["runtime"]]
        shipped = device.predict(artifact_of(facts, label, folder), images.numpy())
        assert torch.allclose(answers, torch.from_numpy(shipped), atol=1e-5)
    # What was done to the file can be done again, with what the network's steps learnt for it.
    again = runtimes["whole"].compile(rebuild(folder, label="int8"), None, tmp_path / "again")
    context = CompressionContext(None, None, images.numpy(), seed=0, ranges=facts["ranges"])  # type: ignore[arg-type]
    redone = Rounding().transform(again, {"scheme": "int8"}, context)
    shipped = runtimes["whole"].predict(artifact_of(facts, "int8", folder), images.numpy())
    assert (runtimes["whole"].predict(redone, images.numpy()) == shipped).all()
