from __future__ import annotations

import pytest
import torch
from starts import FACTS, member, network_of, space_of, trained
from torch import Tensor, nn

from orchestrator.pretrained.sorting import sort_channels


def answers(network: nn.Module, state: dict[str, Tensor] | None = None) -> Tensor:
    if state is not None:
        network.load_state_dict(state)
    with torch.no_grad():
        return network.eval()(
            torch.randn(4, *FACTS.shape, generator=torch.Generator().manual_seed(3))
        )


FAMILIES = [
    "mobilenetv2", "mobilenetv3", "efficientnet_lite", "shufflenetv2", "squeezenet", "mobilevit",
    "vit", "swin",
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_sorted_channels_keep_the_function(family: str) -> None:
    space = space_of(family)
    network = network_of(space, member(space))
    trained(network)
    before = answers(network)
    found = sort_channels(network, space.fixed_layers(network), FACTS.shape)
    assert found.sorted
    moved = [n for n, t in network.state_dict().items() if not torch.equal(t, found.tensors[n])]
    assert moved
    after = answers(network, dict(found.tensors))
    assert (after - before).abs().max() < 1e-4 * before.abs().max()


def test_the_channels_that_are_read_most_come_first() -> None:
    space = space_of()
    network = network_of(space, member(space))
    found = sort_channels(network, space.fixed_layers(network), FACTS.shape)
    project = found.tensors["stages.1.0.layers.project.conv.weight"]
    read = project.abs().sum((0, 2, 3))
    assert torch.equal(read, read.sort(descending=True).values)


def test_statistics_move_with_their_channels() -> None:
    space = space_of()
    network = network_of(space, member(space))
    trained(network)
    found = sort_channels(network, space.fixed_layers(network), FACTS.shape)
    norm = "stages.1.0.layers.expand.norm"
    own = network.state_dict()
    order = [
        (own[f"{norm}.running_var"] == value).nonzero().item()
        for value in found.tensors[f"{norm}.running_var"]
    ]
    assert order != sorted(order)
    for leaf in ("weight", "bias", "running_mean"):
        assert torch.equal(found.tensors[f"{norm}.{leaf}"], own[f"{norm}.{leaf}"][order])


class Weighted(nn.Module):
    """Adds a number to each channel that the graph does not see, so that order matters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 1)
        self.second = nn.Conv2d(6, 5, 1)
        self.last = nn.Linear(5, 3)
        self.register_buffer("places", torch.arange(6.0).view(1, 6, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.second((self.first(x) * self.places).relu())
        answer: Tensor = self.last(x.mean((2, 3)))
        return answer


def test_a_permutation_that_changes_an_answer_is_taken_back_alone() -> None:
    network = Weighted().eval()
    before = answers(network)
    found = sort_channels(network, [], FACTS.shape)
    assert (found.sorted, found.left) == (("second",), ("first",))
    assert torch.equal(found.tensors["first.weight"], network.first.weight)
    assert (answers(network, dict(found.tensors)) - before).abs().max() < 1e-5
    assert "1 of 2 groups" in found.sentence


def test_fixed_layers_keep_their_order() -> None:
    space = space_of("shufflenetv2")
    network = network_of(space, member(space))
    fixed = list(space.fixed_layers(network))
    found = sort_channels(network, fixed, FACTS.shape)
    names = {module: name for name, module in network.named_modules()}
    own = network.state_dict()
    for layer in fixed:
        assert names[layer] in found.left
        rows = own[f"{names[layer]}.weight"].abs().sum((1, 2, 3))
        kept = found.tensors[f"{names[layer]}.weight"].abs().sum((1, 2, 3))
        assert torch.allclose(kept, rows)


class Attending(nn.Module):
    """Two heads after one another in each of three projections."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(3, 8) for _ in range(3))
        self.out = nn.Linear(8, 3)

    def head_layers(self) -> tuple[list[nn.Module], list[nn.Module], int]:
        return [self.query, self.key, self.value], [self.out], 2

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)[:, :16]
        q, k, v = (
            layer(tokens).unflatten(-1, (2, 4)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        answer: Tensor = self.out(mixed.transpose(1, 2).flatten(2)).mean(1)
        return answer


def test_heads_move_whole() -> None:
    network = Attending().eval()
    with torch.no_grad():
        network.out.weight[:, 4:] *= 3
    before = answers(network)
    fixed = [network.query, network.key, network.value]
    found = sort_channels(network, fixed, FACTS.shape)
    assert torch.equal(found.tensors["value.weight"], network.value.weight.roll(4, 0))
    assert torch.equal(found.tensors["query.bias"], network.query.bias.roll(4, 0))
    assert (answers(network, dict(found.tensors)) - before).abs().max() < 1e-5
