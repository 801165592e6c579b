"""A space whose names stand for roles is admitted; one that mixes them is found out."""

from __future__ import annotations

import torch
from footings import TASK
from sharing_spaces import Flat, Staged

from orchestrator import ImageFacts
from orchestrator.supernet.admission import Verdict, mixed_roles
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.pool import draw_subnets
from orchestrator.supernet.store import Store

GREY = ImageFacts.unnamed(16, in_channels=1)


def paths_of(space):
    torch.manual_seed(0)
    borrower = Borrower(Store(space), TASK, GREY)
    return borrower, draw_subnets(borrower, count=24, seed=0)


def test_running_block_numbers_mix_roles_and_are_named():
    suspects = mixed_roles(*paths_of(Flat()))
    assert "0.1.0.weight" in suspects
    assert "0.0.0.weight" not in suspects


def test_stages_with_containers_of_their_own_do_not():
    assert mixed_roles(*paths_of(Staged())) == []


def test_poor_shared_weights_are_refused_with_figures_and_names():
    verdict = Verdict(inherited=0.15, control=0.5, chance=0.1, mixed=("a.weight", "b.weight"))
    assert not verdict.admitted
    assert "15.0% with shared weights, 50.0% trained alone" in verdict.sentence
    assert "a.weight, b.weight" in verdict.sentence


def test_poor_weights_without_mixed_names_may_need_longer_training():
    verdict = Verdict(inherited=0.15, control=0.5, chance=0.1, widths=("c.weight",))
    assert "may need longer (estimator.epochs)" in verdict.sentence
    assert "c.weight" in verdict.sentence


def test_good_shared_weights_are_admitted():
    assert Verdict(inherited=0.45, control=0.5, chance=0.1).admitted
    assert Verdict(inherited=0.12, control=0.1, chance=0.1).admitted
