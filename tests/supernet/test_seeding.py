"""Shared weights that begin with trained ones."""

from __future__ import annotations

from pathlib import Path

import footings
import torch
from starts import FACTS, member, network_of, space_of, start_of

from orchestrator.config import TrainConfig
from orchestrator.estimators.supernet import SupernetEstimator
from orchestrator.plugins import installed
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.store import Store

WIDER = {"stages.1.width": 32, "stages.1.blocks.0.kernel": 7, "last.width": 320}


def test_a_store_begins_with_all_of_the_trained_weights(tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space)
    borrower = Borrower(Store(space), footings.TASK, FACTS, start)
    borrowed = borrower.get(member(space, {"stages.1.width": 16})).network
    for name in borrowed.state_dict():
        if name in borrower.store.tensors:
            assert torch.equal(borrower.store.tensors[name], start.tensors[name])
    stem = borrowed.get_submodule("stages.1.0.layers.project.conv").weight
    trained = start.tensors["stages.1.0.layers.project.conv.weight"]
    assert torch.equal(stem, trained[: len(stem), : stem.shape[1]])


def test_what_grows_beside_them_is_still(tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space, member(space, {"stages.1.blocks.0.kernel": 3}))
    borrower = Borrower(Store(space), footings.TASK, FACTS, start)
    borrower.get(member(space, {"stages.1.blocks.0.kernel": 3}))
    before = dict(borrower.store.tensors)
    borrower.get(member(space, WIDER))
    kernel = borrower.store.tensors["stages.1.0.layers.depthwise.conv.weight"]
    old = before["stages.1.0.layers.depthwise.conv.weight"]
    assert torch.equal(kernel[: len(old), :, 2:5, 2:5], old)
    assert kernel[: len(old)].count_nonzero() == old.count_nonzero()  # the rings are 0
    last, old = (t["last.conv.weight"] for t in (borrower.store.tensors, before))
    assert last.shape[0] > len(old) and torch.equal(last[: len(old)], old)


def test_what_began_so_is_known_after_an_interruption(tmp_path: Path) -> None:
    store = Store(space_of())
    store.seed({"stem.conv.weight": torch.ones(8, 3, 3, 3)})
    store.save(tmp_path / "store", {"epochs": 1}, memory=True)
    again, facts = Store.load(space_of(), tmp_path / "store")
    assert facts == {"epochs": 1} and again.seeded == {"stem.conv.weight"}


def test_the_estimator_begins_there_with_few_epochs_and_small_steps(tmp_path: Path) -> None:
    space = space_of()
    digits = installed().create("dataset", "digits", {"image_size": 32})
    start = start_of(tmp_path, space, without=["classifier", "stem"])
    config = TrainConfig(epochs=1)
    context = footings.context(space, digits, config, tmp_path / "weights", start=start)
    estimator, store = SupernetEstimator(), Store(space)
    store.normed = True
    recipe = estimator._recipe(store, context)
    assert (recipe.epochs, recipe.optimizer, recipe.learning_rate) == (4, "adamw", 2e-3)
    noise = footings.context(space, digits, config, tmp_path / "weights")
    recipe = estimator._recipe(store, noise)
    assert (recipe.epochs, recipe.optimizer, recipe.learning_rate) == (30, "sgd", 0.2)


def test_a_control_of_the_check_begins_there_too(tmp_path: Path) -> None:
    space = space_of()
    start = start_of(tmp_path, space)
    alone = Borrower(Store(space), footings.TASK, FACTS, start).build(member(space), seed=9)
    noise = network_of(space, member(space), seed=9)
    assert torch.equal(alone.stem.conv.weight, start.tensors["stem.conv.weight"])
    assert not torch.equal(noise.stem.conv.weight, alone.stem.conv.weight)
    assert torch.equal(alone.last.norm.running_var, start.tensors["last.norm.running_var"])
