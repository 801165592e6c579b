"""A borrowed network is the plain network, and training it moves its own part only."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from footings import TASK
from orchestrator_spaces import orchestrator_search_spaces
from sharing_spaces import FusedSpace, Staged

from orchestrator import Genotype, ImageFacts, SearchSpace
from orchestrator.config import TrainConfig
from orchestrator.plugins import installed
from orchestrator.supernet.borrowing import Borrower, release
from orchestrator.supernet.regions import Region
from orchestrator.supernet.store import Store
from orchestrator.training import optimisation
from orchestrator.trials import RandomTrial

FAMILIES = [offer.name for offer in orchestrator_search_spaces()]
ARCHITECTURES = 50
SMALL = ImageFacts.unnamed(32, in_channels=1)


def family(name: str) -> SearchSpace:
    made: SearchSpace = installed().create("space", name, {"preset": "small"})
    return made


def borrower_of(space: SearchSpace, facts: ImageFacts = SMALL) -> Borrower:
    torch.manual_seed(0)
    return Borrower(Store(space), TASK, facts)


def genotype(space: SearchSpace, architecture: Any) -> Genotype:
    return Genotype(space.name, space.preset, architecture)


def drawn(space: SearchSpace, seed: int) -> Genotype:
    return genotype(space, space.suggest(RandomTrial(seed)))


@pytest.mark.parametrize("name", FAMILIES)
def test_borrowed_and_inherited_networks_answer_alike(name: str):
    """In float64, as float32 kernels round otherwise for another layout in memory."""
    borrower = borrower_of(family(name))
    images = torch.randn(2, 1, 32, 32, dtype=torch.float64)
    genotypes = [drawn(borrower.store.space, seed) for seed in range(ARCHITECTURES)]
    for one in genotypes:
        borrower.get(one)
    for one in genotypes:
        borrowed = borrower.get(one).network.eval()
        copied = borrower.build(one).eval()
        assert borrower.store.inherit(copied) == []
        with torch.no_grad():
            theirs = copy.deepcopy(copied).double()(images)
            ours = copy.deepcopy(borrowed).double()(images)
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9), one


def outside(store: Store, regions: dict[str, Region]) -> dict[str, torch.Tensor]:
    """The store's weights, with what a network uses struck out."""
    left = {name: tensor.clone() for name, tensor in store.tensors.items()}
    for name, region in regions.items():
        region.write(left[name], torch.zeros_like(region.read(left[name])))
    return left


@pytest.mark.parametrize("name", [*FAMILIES, "fused"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_step_moves_all_of_the_path_and_nothing_else(name: str, optimizer: str):
    space = FusedSpace() if name == "fused" else family(name)
    borrower = borrower_of(space)
    config = TrainConfig(optimizer=optimizer, learning_rate=1.0)  # type: ignore[arg-type]
    for seed in range(8):
        borrower.get(drawn(space, seed))
    path = borrower.get(drawn(space, 1))
    regions = {owned.name: region for owned, region in path.owned}
    rest = outside(borrower.store, regions)
    before = {n: r.read(borrower.store.tensors[n]).clone() for n, r in regions.items()}
    step(borrower, path, config)
    after = outside(borrower.store, regions)
    assert all(torch.equal(rest[n], after[n]) for n in rest)
    moved = [
        n
        for n, r in regions.items()
        if not torch.equal(before[n], r.read(borrower.store.tensors[n]))
    ]
    assert len(moved) > 0.9 * len(regions)


def step(borrower: Borrower, path, config: TrainConfig) -> None:
    optimizer = borrower.with_optimizer(
        path, lambda network: optimisation.optimizer_of(network, config, fused=False)
    )
    images = torch.randn(4, 1, 32, 32)
    path.network.train()(images).square().sum().backward()
    optimizer.step()
    path.push()


def test_momentum_is_shared_between_architectures():
    space = Staged()
    borrower = borrower_of(space)
    wide, narrow = (
        borrower.get(genotype(space, {"width": w, "kernel": 3, "depths": [1, 1]})) for w in (16, 8)
    )
    step(borrower, wide, TrainConfig(optimizer="sgd"))
    step(borrower, narrow, TrainConfig(optimizer="sgd"))
    memory = borrower.store.memory["0.stage0.0.0.weight"]["momentum_buffer"]
    for borrowed in (wide, narrow):
        ((owned, region),) = [o for o in borrowed.owned if o[0].name == "0.stage0.0.0.weight"]
        assert borrowed.optimizer is not None
        state = borrowed.optimizer.state[owned.tensor]["momentum_buffer"]
        assert state.data_ptr() == region.read(memory).data_ptr()


def test_a_released_network_no_longer_changes_the_store():
    borrower = borrower_of(Staged())
    borrowed = borrower.get(genotype(Staged(), {"width": 8, "kernel": 5, "depths": [1, 2]}))
    release(borrowed.network)
    before = {name: tensor.clone() for name, tensor in borrower.store.tensors.items()}
    with torch.no_grad():
        for parameter in borrowed.network.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], borrower.store.tensors[name]) for name in before)


def test_networks_follow_a_store_that_grew():
    borrower = borrower_of(Staged())
    small = genotype(Staged(), {"width": 8, "kernel": 3, "depths": [1, 1]})
    borrower.get(small)
    borrower.get(genotype(Staged(), {"width": 16, "kernel": 5, "depths": [2, 2]}))
    weight = borrower.get(small).network.get_parameter("0.stage0.0.0.weight")
    borrower.store.tensors["0.stage0.0.0.weight"].fill_(3.0)
    assert weight.eq(3.0).all()
