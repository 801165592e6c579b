"""A network that learnt from a teacher: its folder rebuilds without teacher and run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from offering import offering
from toy_factory import factory, genotype
from toys import toy_latencies
from trained_space import TrainedPlugin
from whole_files import AXES, OtherWhole, WholeDevice

from orchestrator.bundle import artifact_of, check_images, read_facts, rebuild, verify
from orchestrator.candidate.factory import Factory
from orchestrator.candidate.finalists import Elected, finish, make_teacher
from orchestrator.records import Genotype, Record, Step

pytestmark = pytest.mark.usefixtures("toys", "whole")

RUNTIMES = {"whole": WholeDevice(), "other_whole": OtherWhole()}
AFTERWARDS = (Step("halving", {"halve": True}), Step("rounding", {"scheme": "int8"}))


def made(folder: Path, *names: str, **groups: Any) -> Factory:
    folder.mkdir(exist_ok=True)
    usual = {
        "device": {"here": {"name": "whole", "runtime": ["whole", "other_whole"]}},
        "train": {"final_epochs": 2, "batch_size": 8},
    }
    called = names or ("distillation", "halving", "rounding")
    compressor = {name: {"name": name} for name in called}
    return factory(folder, **{**usual, "compressor": compressor, **groups})


def shipped(run: Path, taught: dict[str, Any]) -> Path:
    """The folder of a finalist with a trained teacher in its run, or trained on labels alone."""
    study = made(run)
    make_teacher(genotype(width=4), study)
    steps = (Step("distillation", taught), *AFTERWARDS) if taught else AFTERWARDS
    record = Record(3, genotype(2, steps), "feasible", {"accuracy": 0.5})
    return run / finish(Elected(record, AXES), study, toy_latencies).folder


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_taught_pruned_and_rounded_it_answers_elsewhere_as_its_files(
    tmp_path: Path, kind: str
) -> None:
    taught = {"alpha": 0.5} | ({} if kind == "soft" else {"kind": kind})
    folder = Path(shutil.copytree(shipped(tmp_path / "run", taught), tmp_path / "elsewhere"))
    shutil.rmtree(tmp_path / "run")
    facts = read_facts(folder)
    assert facts["genotype"]["compression"]["distillation"] == taught
    found = verify(folder, RUNTIMES)
    assert found.skipped == () and max(found.drifts.values()) < 1e-6
    images = made(tmp_path / "other").assembly.facts
    shown = images.normalise(check_images(images))
    for label in ("unpruned", "fp32", "other_whole.fp32"):
        device = RUNTIMES[facts["artifacts"][label]["runtime"]]
        answers = device.predict(artifact_of(facts, label, folder), shown.numpy())
        rebuilt = rebuild(folder, label=label)(shown).detach()
        assert torch.allclose(rebuilt, torch.from_numpy(answers), atol=1e-5)


def test_its_weights_are_those_that_the_teacher_led_to(tmp_path: Path) -> None:
    alone = rebuild(shipped(tmp_path / "alone", {}), label="unpruned").state_dict()
    taught = rebuild(shipped(tmp_path / "taught", {"alpha": 0.5}), label="unpruned").state_dict()
    assert alone.keys() == taught.keys()
    assert not all(torch.allclose(alone[name], taught[name], atol=1e-4) for name in alone)


@pytest.fixture
def mapped() -> Iterator[None]:
    """A space whose networks have maps that a student and its teacher can be compared by."""
    with offering(TrainedPlugin(), "trained"):
        yield


def test_so_it_does_where_it_learnt_to_look_as_its_teacher(tmp_path: Path, mapped: None) -> None:
    (tmp_path / "run").mkdir()
    study = made(tmp_path / "run", "distillation", "rounding", space={"name": "trained"})
    steps = (Step("distillation", {"alpha": 0.5, "kind": "features"}), AFTERWARDS[1])
    student, teacher = ({"width": width, "slope": 0.0} for width in (4, 16))
    make_teacher(Genotype("trained", "small", teacher), study)
    record = Record(3, Genotype("trained", "small", student, steps), "feasible", {"accuracy": 0.5})
    folder = study.folder / finish(Elected(record, AXES), study, toy_latencies).folder
    folder = Path(shutil.move(folder, tmp_path / "elsewhere"))
    shutil.rmtree(tmp_path / "run")
    found = verify(folder, RUNTIMES)
    assert found.skipped == () and found.drifts.keys() >= {"fp32", "int8", "other_whole.fp32"}
    assert max(found.drifts.values()) < 1e-6
    assert "distillation" in read_facts(folder)["genotype"]["compression"]
