"""Training shared weights: what a method does, and that an interruption changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from footings import TASK, footing
from sharing_spaces import Staged

from orchestrator import Dataset, ImageFacts
from orchestrator.config import TrainConfig
from orchestrator.errors import TrainingError
from orchestrator.supernet.borrowing import Borrower
from orchestrator.supernet.judging import inherited_figure
from orchestrator.supernet.path_training import PathTraining, Recipe, Setting
from orchestrator.supernet.pool import draw_subnets, in_turn
from orchestrator.supernet.store import Store
from orchestrator.training.scoring import leading_figure

RECIPE = Recipe("single_path", 8, 32, "sgd", 0.2, seed=0)
GREY = ImageFacts.unnamed(16, in_channels=1)


def training(
    digits: Dataset,
    recipe: Recipe = RECIPE,
    store: Store | None = None,
    config: TrainConfig = TrainConfig(),  # noqa: B008
) -> PathTraining:
    torch.manual_seed(0)
    borrower = Borrower(store or Store(Staged()), TASK, GREY)
    paths = draw_subnets(borrower, count=12, seed=0)
    return PathTraining(borrower, paths, footing(digits), Setting(recipe, config))


@pytest.mark.parametrize("method", ["single_path", "sandwich", "progressive"])
def test_every_method_makes_a_network_that_knows_digits(small_digits: Dataset, method):
    run = training(small_digits, replace(RECIPE, method=method))
    for epoch in range(RECIPE.epochs):
        run.epoch(epoch)
    network = run.borrower.get(run.paths[len(run.paths) // 2].genotype).network
    assert inherited_figure(network, footing(small_digits), images=512) > 0.5


def test_going_on_from_a_file_ends_as_if_never_stopped(small_digits: Dataset, tmp_path: Path):
    whole, half = training(small_digits), training(small_digits)
    for epoch in range(3):
        whole.epoch(epoch)
    half.epoch(0)
    half.borrower.store.save(tmp_path / "half", {}, memory=True)
    rest = training(small_digits, store=Store.load(Staged(), tmp_path / "half")[0])
    for epoch in (1, 2):
        rest.epoch(epoch)
    ours, theirs = whole.borrower.store.tensors, rest.borrower.store.tensors
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)


def test_images_have_each_of_the_scales(small_digits: Dataset):
    run, sides = training(small_digits, config=TrainConfig(scales=(0.5, 1.0))), set()
    for path in run.paths:
        network = run.borrower.get(path.genotype).network
        network.register_forward_pre_hook(lambda _, inputs: sides.add(inputs[0].shape[-1]))
    run.epoch(0)
    assert sides == {8, 16}


def test_a_network_of_one_image_size_is_told_of_scales(small_digits: Dataset):
    run = training(small_digits, config=TrainConfig(scales=(0.5, 1.0)))
    for path in run.paths:
        run.borrower.get(path.genotype).network.register_forward_pre_hook(only_full_size)
    with pytest.raises(TrainingError, match=r"8, 8.*train\.scales at \[1\.0\]"):
        run.epoch(0)


def only_full_size(network: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
    if inputs[0].shape[-1] != GREY.image_size:
        raise ValueError("positions are for 16 px")


def test_every_path_has_its_turn(small_digits: Dataset):
    paths = training(small_digits).paths
    order = in_turn(paths, seed=0, epoch=1, steps=2 * len(paths))
    assert all(sum(path is other for other in order) == 2 for path in paths)
    assert order != in_turn(paths, seed=0, epoch=2, steps=2 * len(paths))


def test_a_progressive_pool_opens_from_the_largest(small_digits: Dataset):
    run = training(small_digits, replace(RECIPE, method="progressive", epochs=10))
    sizes = [len(run._open(epoch)) for epoch in range(10)]
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert sizes[-1] == len(run.paths)
    assert run._open(0)[0].params == max(path.params for path in run.paths)


def test_without_recalibration_shared_weights_only_guess(small_digits: Dataset):
    run = training(small_digits)
    for epoch in range(RECIPE.epochs):
        run.epoch(epoch)
    network = Borrower(run.borrower.store, TASK, GREY).get(run.paths[0].genotype).network
    assert leading_figure(network, footing(small_digits)) < 0.3
    assert inherited_figure(network, footing(small_digits), images=512) > 0.5
