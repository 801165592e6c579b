"""A run's folder made before stored forms had a number: read, reported, picked, rebuilt, resumed.

`old_run` was written by version 0.1.0 with the fakes of `toys`: four candidates told, one finished
and never told, one running when the driver died, one finalist whose network is pruned.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from toys import toy_latencies

from orchestrator.bundle import read_facts, rebuild, verify
from orchestrator.candidate.assembly import draw
from orchestrator.candidate.evaluation import evaluate
from orchestrator.candidate.factory import Factory
from orchestrator.cli.commands import main
from orchestrator.contracts import Ground
from orchestrator.measuring.gate import Gate
from orchestrator.plugins import installed
from orchestrator.records import Step
from orchestrator.search.proposer import Proposer
from orchestrator.study import Study, load
from orchestrator.study.picking import choose
from orchestrator.study.story import write_report

pytestmark = pytest.mark.usefixtures("toys")

HALVED = "0003-3417a1bd8c55"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(__file__).parents[1] / "old_run", tmp_path / "old"))


@pytest.fixture
def study(folder: Path) -> Study:
    return load(folder)


def test_it_says_nothing_of_formats(folder: Path) -> None:
    told = json.loads((folder / "plan.json").read_text())
    assert "format" not in told
    assert isinstance(json.loads((folder / "finalists.json").read_text()), list)
    assert '"format"' not in (folder / "study.journal").read_text()


def test_its_records_keep_their_names(study: Study) -> None:
    assert [(record.id, record.outcome) for record in study.records] == [
        ("0000-cd0ae65eb936", "feasible"),
        ("0001-2e52862efbd7", "rejected"),
        ("0002-2985adfeb810", "feasible"),
        (HALVED, "feasible"),
    ]
    assert study.records[3].genotype.compression == (Step("halving", {"halve": True}),)
    assert study.records[1].violations == {"params": 41.0}


def test_its_finalist_is_one(study: Study) -> None:
    (finalist,) = study.finalists
    assert (finalist.id, finalist.recommended, finalist.verified) == (HALVED, True, True)
    assert finalist.marks == ("compression cost 50.0 points of accuracy",)
    assert finalist.figures["test_accuracy_fp32"] == 1.0
    assert finalist.picks == ("knee",)


def test_it_is_reported(study: Study) -> None:
    page = write_report(study).read_text()
    assert HALVED in page and "compression cost 50.0 points" in page
    rows = (study.folder / "candidates.csv").read_text().splitlines()
    assert len(rows) == 1 + 4


def test_it_is_picked(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = choose(study, {"params": 100}, {})
    assert entry["id"] == HALVED and entry["folder"].endswith(f"models/{HALVED}")
    main(["pick", str(study.folder), "--max", "params=100", "--json"])
    assert json.loads(capsys.readouterr().out)[0]["id"] == HALVED


def test_its_pruned_network_is_rebuilt(folder: Path) -> None:
    bundle = folder / "models" / HALVED
    assert read_facts(bundle)["artifacts"]["fp32"]["exact"]
    network = rebuild(bundle)
    assert network[1].out_features == 1
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 2)
    assert verify(bundle).network_difference < 1e-5


def test_it_goes_on_where_it_stopped(study: Study, tmp_path: Path) -> None:
    """What was finished is told, what was running is proposed again and comes to its end."""
    factory = Factory(study.config, study.folder, Gate(tmp_path / "gate"), installed())
    ground = Ground(study.axes, partial(draw, factory.assembly), factory.static)
    make = partial(installed().create, "sampler", "random")
    proposer = Proposer(study.home.journal, ground, lambda seed: make({"seed": seed}))
    proposer.recover(study.home.results)
    assert sorted(proposer.records) == [0, 1, 2, 3, 5]
    lost = proposer.propose()
    assert lost is not None and lost.number == 7
    assert lost.genotype.compression == (Step("halving", {"halve": True}),)
    record = evaluate((lost.number, lost.genotype), [], factory, toy_latencies)
    assert record.outcome == "feasible", record.error
    proposer.tell(record)
    again = load(study.folder).records
    assert [record.number for record in again] == [0, 1, 2, 3, 5, 7]
    assert again[-1] == record and again[:4] == study.records
