"""Of genotypes that build the same network one is proposed, and answers for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.contracts import Axis, Ground, Proposal
from orchestrator.plugins import installed
from orchestrator.records import Genotype, Record
from orchestrator.search.proposer import Proposer
from orchestrator.testing.toys import ToySpace

AXES = (Axis("accuracy", "share", "maximize", 0.0), Axis("params", "", "minimize", 12.0))


def draw(trial: Any) -> Genotype:
    return Genotype("toy", "small", ToySpace().suggest(trial))


def half(genotype: Genotype) -> int:
    return int(genotype.architecture["widths"][0]) // 2


def alike(folder: Path) -> Proposer:
    """Widths that share their half are one network."""

    def make(seed: int) -> Any:
        return installed().create("sampler", "random", {}, given={"seed": seed})

    ground = Ground(AXES, draw, same=lambda genotype: str(half(genotype)))
    return Proposer(folder / "study.journal", ground, make)


def told(asked: Proposer) -> Proposal | None:
    proposal = asked.propose()
    if proposal is not None:
        values = {"accuracy": 0.5, "params": float(proposal.number)}
        asked.tell(Record(proposal.number, proposal.genotype, outcome="feasible", values=values))
    return proposal


def test_each_network_is_proposed_once_and_repeats_are_told_its_values(tmp_path: Path) -> None:
    asked = alike(tmp_path)
    found = [proposal.genotype for proposal in iter(lambda: told(asked), None)]
    assert sorted(map(half, found)) == [0, 1, 2]
    trials = asked._study.get_trials()
    repeats = [trial for trial in trials if "duplicate_of" in trial.user_attrs]
    first = [trials[trial.user_attrs["duplicate_of"]] for trial in repeats]
    assert repeats and [trial.values for trial in repeats] == [trial.values for trial in first]


def test_a_resumed_search_still_knows_which_networks_it_trained(tmp_path: Path) -> None:
    asked = alike(tmp_path)
    before = {half(found.genotype) for found in (told(asked), told(asked)) if found}
    resumed = alike(tmp_path)
    again = [half(proposal.genotype) for proposal in iter(lambda: told(resumed), None)]
    assert len(before) == 2 and again == [*({0, 1, 2} - before)]


def test_a_sampler_hears_that_another_genotype_of_a_network_is_known(tmp_path: Path) -> None:
    asked = alike(tmp_path)
    while told(asked):
        pass
    repeated = [Genotype("toy", "small", {"widths": [width]}) for width in (2, 3)]
    assert all(map(asked.history.knows, repeated))
