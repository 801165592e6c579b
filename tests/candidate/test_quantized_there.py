"""A second device that reads another format, and a quantizer of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_factory import factory, genotype
from toys import toy_latencies
from whole_files import AXES as FIRST_AXES
from whole_files import OtherWhole

from orchestrator.candidate.factory import Factory, Treatment
from orchestrator.candidate.finalists import Elected, finish
from orchestrator.candidate.scoring import scored
from orchestrator.contracts import Artifact, Axis
from orchestrator.errors import ConfigError
from orchestrator.records import Genotype, Record, Step
from orchestrator.training.epochs import TrainRun, train

pytestmark = pytest.mark.usefixtures("toys", "whole")

AXES = [*FIRST_AXES, Axis("latency_ms@there", "ms", "minimize", reference=1e6)]
ASKED = {"latency_ms@there": {"name": "latency_ms", "device": "there"}}
HERE, THERE = (Step(name, {"scheme": "int8"}) for name in ("rounding", "other_rounding"))


def study(folder: Path, *names: str, **groups: Any) -> Factory:
    """A search with two devices of two formats and these compressors."""
    devices = {"here": {"name": "whole"}, "there": {"name": "other_whole"}}
    wanted = {"device": devices, "objective": ASKED, "train": {"final_epochs": 1, "batch_size": 8}}
    compressor = {name: {"name": name} for name in names or ("rounding", "other_rounding")}
    return factory(folder, **{**wanted, "compressor": compressor, **groups})


def plain(*steps: Step) -> Genotype:
    return genotype(compression=steps)


def test_each_device_has_its_own_choice_of_one_training(tmp_path: Path) -> None:
    compression = study(tmp_path).assembly.compression
    compression.check()
    told = "whole (as it is, rounding int8); each also with other_rounding int8 on further devices"
    assert compression.told_of_each("whole") == f"4 of each training, all measured: {told}"
    found = {variant.genotype.key for variant in compression.variants(plain())}
    pairs = [(), (HERE,), (THERE,), (THERE, HERE)]
    assert found == {plain(*steps).key for steps in pairs}


def test_on_each_device_files_go_through_the_steps_that_take_them(tmp_path: Path) -> None:
    made = study(tmp_path)
    files = made.variants(made.build(plain()), Treatment(plain()), tmp_path / "model", final=False)
    told = {
        tuple(step.name for step in each.genotype.compression): [
            a.label for a in each.files.values()
        ]
        for each in files
    }
    assert told == {
        (): ["", ""],
        ("rounding",): ["int8", ""],
        ("other_rounding",): ["", "int8"],
        ("other_rounding", "rounding"): ["int8", "int8"],
    }
    assert len({artifact.path for each in files for artifact in each.files.values()}) == 4


@pytest.mark.parametrize("steps", [(), (THERE,), (THERE, HERE)])
def test_a_finalist_ships_it_with_figures_of_that_device(
    tmp_path: Path, steps: tuple[Step, ...]
) -> None:
    record = Record(3, plain(*steps), "feasible", {"accuracy": 0.5})
    finalist = finish(Elected(record, AXES), study(tmp_path), toy_latencies)
    files = {file.label: file for file in finalist.files}
    assert files.keys() == {"fp32", "int8", "there.fp32", "there.int8"}
    there = files["there.int8"]
    assert (there.before, there.steps) == ("there.fp32", ("other_rounding",))
    assert tuple(there.latencies) == ("there",) and there.verified
    assert there.agreement is not None and there.runtime == "other_whole"
    assert files["int8"].steps == ("rounding",) and tuple(files["int8"].latencies) == ("here",)


def test_where_it_fails_that_is_told_of_that_device_once(tmp_path: Path) -> None:
    failing = {"name": "other_rounding", "fails": True}
    compressor = {"rounding": {"name": "rounding"}, "other_rounding": failing}
    record = Record(3, plain(), "feasible", {"accuracy": 0.5})
    finalist = finish(Elected(record, AXES), study(tmp_path, compressor=compressor), toy_latencies)
    assert {file.label for file in finalist.files} == {"fp32", "int8", "there.fp32"}
    told = [mark for mark in finalist.marks if "could not be made" in mark]
    assert told == ["there.other_rounding could not be made: it does not round today"]


def test_what_it_costs_there_is_seen_in_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded, the file there answers what is least likely instead of what is likeliest."""
    answer = OtherWhole.predict

    def spoilt(device: Any, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        answers = answer(device, artifact, images)
        return -answers if artifact.label and artifact.format == "other" else answers

    monkeypatch.setattr(OtherWhole, "predict", spoilt)
    made = study(tmp_path)
    network = made.build(plain())
    train(network, made.footing, made.config.train, TrainRun(epochs=3, seed=0))
    files = made.variants(network, Treatment(plain()), tmp_path / "model", final=False)
    judged = {each.genotype.key: scored(each, made) for each in files}
    good = judged[plain().key].judge.figures()["accuracy"]
    for steps, form in (((), "whole"), ((HERE,), "whole"), ((THERE,), "other")):
        assert judged[plain(*steps).key].artifact.format == form
    assert judged[plain(THERE).key].judge.figures()["accuracy"] < good - 0.2


def test_the_usual_one_joins_where_one_of_the_first_device_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OtherWhole, "quantizers", ("other_rounding",))
    assert "other_rounding" in study(tmp_path, "rounding").assembly.compressors
    assert "other_rounding" not in study(tmp_path, "halving").assembly.compressors
    assert "other_rounding" not in study(tmp_path, "rounding", objective={}).assembly.compressors


def test_for_a_device_that_no_objective_asks_it_is_refused(tmp_path: Path) -> None:
    message = r"files of device 'there', which no objective asks.*latency_ms@there"
    with pytest.raises(ConfigError, match=message):
        _ = study(tmp_path, "rounding", "other_rounding", objective={}).assembly
