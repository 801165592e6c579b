"""Networks in outline are counted like networks that are built."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from orchestrator_objectives.counting import ExactCounter
from orchestrator_objectives.memory_access import elements_moved
from torch import Tensor, nn

from orchestrator import outlined
from orchestrator.errors import BuildError
from orchestrator.training.outlines import Outlines, is_outline
from orchestrator.training.stand_ins import StandIn, elements

IMAGE = (3, 8, 8)


@dataclass(frozen=True)
class Shape:
    width: int
    kernel: int


@outlined
class Block(nn.Module):
    made = 0

    def __init__(self, shape: Shape, activation: nn.Module) -> None:
        super().__init__()
        Block.made += 1
        self.width = shape.width
        self.conv = nn.Conv2d(3, shape.width, shape.kernel, padding=shape.kernel // 2)
        self.norm = nn.BatchNorm2d(shape.width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.norm(self.conv(x)))
        return out


@outlined
def row(widths: list[int], *, kernel: int) -> nn.Sequential:
    blocks = [Block(Shape(width, kernel), nn.ReLU(inplace=True)) for width in widths]
    return nn.Sequential(*[nn.Sequential(b, nn.Conv2d(b.width, 3, 1)) for b in blocks])


class Net(nn.Module):
    def __init__(self, widths: list[int], kernel: int = 3) -> None:
        super().__init__()
        self.row = row(widths, kernel=kernel)
        self.last = Block(Shape(4, 1), nn.Hardswish())
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.last(self.row(x)).mean((2, 3)))
        return out


@pytest.mark.parametrize("cost", [None, elements_moved])
def test_an_outline_counts_like_the_network_at_first_and_from_memory(
    cost: Callable[..., int] | None,
) -> None:
    outlines, counter = Outlines(), ExactCounter(*([cost] if cost else []))
    network = Net([4, 8, 4])
    wanted = counter.count(network, IMAGE), sum(p.numel() for p in network.parameters())
    for _ in range(2):
        outline = outlines.draw(lambda: Net([4, 8, 4]))
        assert (counter.count(outline, IMAGE), elements(outline)) == wanted


def test_a_network_of_known_blocks_makes_none() -> None:
    outlines, counter = Outlines(), ExactCounter()
    counter.count(outlines.draw(lambda: Net([4, 8])), IMAGE)
    before = Block.made
    counter.count(outlines.draw(lambda: Net([4, 8])), IMAGE)
    assert Block.made == before


def test_outside_of_outlines_blocks_are_made_as_they_are() -> None:
    network = Net([4])
    assert not is_outline(network)
    assert not any(type(module) is StandIn for module in network.modules())


def test_a_switch_is_no_number_and_a_float_no_integer() -> None:
    outlines = Outlines()
    with outlines.drawing():
        names = [Block(Shape(width, 1), nn.ReLU()).block.name for width in (1, True, 1.0)]
    assert len(set(names)) == 3


def test_activations_are_told_apart_by_what_they_do() -> None:
    outlines = Outlines()
    with outlines.drawing():
        made = [Block(Shape(1, 1), act) for act in (nn.ReLU(), nn.ReLU(True), nn.GELU())]
    assert len({block.block.name for block in made}) == 3


def test_a_stand_in_that_is_looked_into_becomes_the_block_and_nobody_elses() -> None:
    outlines = Outlines()
    with outlines.drawing():
        first, second = (Block(Shape(4, 1), nn.ReLU()) for _ in range(2))
        assert isinstance(first, Block)
        assert first.width == 4
        first.add_module("more", nn.Conv2d(4, 4, 1))
    assert type(first) is Block
    assert elements(second) < elements(first)


def test_a_block_that_was_given_a_block_becomes_it_with_one_of_its_own() -> None:
    @outlined
    class Around(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner, self.weight = inner, nn.Parameter(torch.zeros(2))

    def twice() -> nn.Module:
        blocks = [Around(Block(Shape(4, 1), nn.ReLU())) for _ in range(2)]
        assert [len(block.weight) for block in blocks] == [2, 2]
        return nn.Sequential(*blocks)

    assert elements(Outlines().draw(twice)) == elements(twice())


def test_what_walks_over_all_modules_passes_stand_ins_by() -> None:
    outline = Outlines().draw(lambda: Net([4]).apply(lambda module: None))
    assert type(outline.last) is StandIn


def test_a_block_that_two_others_hold_is_refused() -> None:
    @outlined
    class Holder(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

    def twice() -> nn.Module:
        inner = Block(Shape(4, 1), nn.ReLU())
        return nn.Sequential(Holder(inner), Holder(inner))

    with pytest.raises(BuildError, match="a block is part of two"):
        Outlines().draw(twice)


def test_a_block_used_twice_in_the_network_itself_counts_twice_and_weighs_once() -> None:
    def shared() -> nn.Module:
        block = nn.Sequential(Block(Shape(3, 1), nn.ReLU()))
        return nn.Sequential(block[0], block[0])

    outline, network = Outlines().draw(shared), shared()
    assert ExactCounter().count(outline, IMAGE) == ExactCounter().count(network, IMAGE)
    assert elements(outline) == elements(network)


def test_torchs_generator_stays_as_it_was() -> None:
    before = torch.get_rng_state()
    ExactCounter().count(Outlines().draw(lambda: Net([4])), IMAGE)
    assert torch.equal(torch.get_rng_state(), before)


def test_torchs_layers_are_known_by_their_arguments_and_what_derives_from_them_is_not() -> None:
    class Wider(nn.Conv2d):
        def __init__(self, width: int) -> None:
            super().__init__(3, 2 * width, 1)

    with Outlines().drawing():
        one, other, derived = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), Wider(4)
    assert len({vars(layer)["block"].name for layer in (one, other)}) == 1
    assert type(derived) is Wider
    assert derived.weight.shape == (8, 3, 1, 1)


def test_copies_in_an_outline_are_blocks_of_their_own() -> None:
    def copied() -> nn.Module:
        block = Block(Shape(3, 1), nn.ReLU())
        layer = nn.Conv2d(3, 3, 1)
        assert layer.weight.shape == (3, 3, 1, 1)  # so that it is a layer itself
        return nn.Sequential(block, copy.deepcopy(block), layer, copy.deepcopy(layer))

    outline, network = Outlines().draw(copied), copied()
    assert ExactCounter().count(outline, IMAGE) == ExactCounter().count(network, IMAGE)
    assert elements(outline) == elements(network)


def test_outside_of_outlines_torchs_layers_are_copied_and_pickled_as_ever() -> None:
    layer = pickle.loads(pickle.dumps(copy.deepcopy(nn.Conv2d(3, 4, 1))))
    assert type(layer) is nn.Conv2d
    assert layer(torch.zeros(1, 3, 2, 2)).shape == (1, 4, 2, 2)
