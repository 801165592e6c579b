from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from networks import fresh
from orchestrator_objectives.counting import ExactCounter
from orchestrator_objectives.operations import visible_attention
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.errors import BuildError
from orchestrator.plugins import installed
from orchestrator.trials import RandomTrial

SHAPE = (3, 16, 16)


class Tokens(nn.Module):
    """(B, 3, 16, 16) → (B, 16, 12): four by four patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.patches(x).flatten(2).transpose(1, 2)


class ExplicitAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(12, 36)
        self.table = nn.Parameter(torch.zeros(5))
        self.register_buffer("places", torch.arange(256).reshape(16, 16) % 5)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = q @ k.transpose(1, 2) + self.table[self.places]
        return scores.softmax(-1) @ v


class FusedAttention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


class MultiHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(4, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(F.avg_pool2d(self.shared(x), 2))


class WiderInTraining(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(3, 4, 1), nn.Conv2d(3, 400, 1)])

    def forward(self, x: Tensor) -> Tensor:
        return self.heads[self.training](x)


class Forgetful(nn.Module):
    """Keeps what it saw: the second block reads what the first one left."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(self.conv(x))
        return self.seen[-1]


class ReadsSeen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Forgetful()
        self.out = nn.Conv2d(3, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return self.out(self.inner.seen[-1])


class SetsItsChild(nn.Module):
    """An elastic layer is told its width by its parent while running."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Elastic()

    def forward(self, x: Tensor) -> Tensor:
        self.inner.width = 1
        narrow = self.inner(x)
        self.inner.width = 4
        return self.inner(x) + narrow.sum(1, keepdim=True)


class Elastic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width = 2
        self.weight = nn.Parameter(torch.zeros(4, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[: self.width])


class DependsOnValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.keep = nn.Buffer(torch.tensor([True, False, True]))
        self.conv = nn.Conv2d(2, 7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x[:, self.keep])


class ReshapesInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).squeeze_(0)


class Calls(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.function(x))


def attention(kind: type[nn.Module]) -> nn.Module:
    return nn.Sequential(Tokens(), kind(), nn.LayerNorm(12), kind())


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "explicit matmul": lambda: attention(ExplicitAttention),
    "fused attention": lambda: attention(FusedAttention),
    "nn.MultiheadAttention": lambda: attention(MultiHead),
    "encoder layer": lambda: nn.Sequential(
        Tokens(), nn.TransformerEncoderLayer(12, 2, 24, batch_first=True)
    ),
    "recurrent": lambda: nn.Sequential(Tokens(), nn.LSTM(12, 5, batch_first=True)),
    "functional": lambda: nn.Sequential(Functional(), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)),
    "shared twice": lambda: nn.Sequential(Twice(), Twice()),
    "training flag": lambda: nn.Sequential(WiderInTraining(), nn.BatchNorm2d(4)),
    "keeps tensors": lambda: nn.Sequential(ReadsSeen(), nn.Hardswish()),
    "told by parent": lambda: nn.Sequential(SetsItsChild()),
    "value-dependent": lambda: nn.Sequential(DependsOnValues()),
    "reshaped in place": lambda: nn.Sequential(ReshapesInPlace(), nn.Flatten(0)),
    "halving": lambda: nn.Sequential(Calls(functools.partial(F.max_pool2d, kernel_size=2))),
    "doubling": lambda: nn.Sequential(Calls(functools.partial(F.interpolate, scale_factor=2))),
    "double precision": lambda: nn.Sequential(Twice()).double(),
}


def plainly(network: nn.Module, shape: tuple[int, int, int]) -> int:
    # On the CPU a fused recurrent layer escapes FlopCounterMode; masks need values.
    device = "cpu" if any(b.dtype == torch.bool for b in network.buffers()) else "meta"
    network = copy.deepcopy(network).to(device).eval()
    image = torch.zeros(1, *shape, dtype=next(network.parameters()).dtype, device=device)
    with torch.no_grad(), visible_attention(), FlopCounterMode(display=False) as counter:
        network(image)
    return int(counter.get_total_flops()) // 2


@pytest.mark.parametrize("name", NETWORKS)
def test_the_figure_is_flop_counter_modes_before_and_after_remembering(name: str) -> None:
    counter = ExactCounter()
    networks = [NETWORKS[name]() for _ in range(3)]

    figures = [counter.count(network, SHAPE) for network in networks]

    assert figures == [plainly(networks[0], SHAPE)] * 3
    assert figures[0] > 0


def test_one_counter_keeps_all_networks_apart() -> None:
    counter = ExactCounter()
    networks = [build() for build in NETWORKS.values()] * 2

    figures = [counter.count(network, SHAPE) for network in networks]

    assert figures == [plainly(network, SHAPE) for network in networks]


@pytest.mark.parametrize("space", ["efficientformer", "mobilenetv3", "shufflenetv2"])
def test_networks_of_a_space_are_counted_exactly(space: str) -> None:
    drawn = installed().create("space", space, {"preset": "small"})
    size = {"classes": 10, "in_channels": 3, "image_size": 32}
    networks = [fresh(drawn, drawn.suggest(RandomTrial(seed)), **size) for seed in range(6)]
    counter = ExactCounter()

    figures = [counter.count(network, (3, 32, 32)) for network in networks]

    assert figures == [plainly(network, (3, 32, 32)) for network in networks]


def test_a_network_without_memory_counts_the_same() -> None:
    with torch.device("meta"):
        network = nn.Sequential(Functional(), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3))

    assert ExactCounter().count(network, SHAPE) == 14 * 14 * 4 * 27 + 12 * 12 * 8 * 36


def state(network: nn.Module) -> list[Any]:
    """What must survive a count, tensors by identity."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    attributes = [{k: repr(v) for k, v in vars(m).items()} for m in network.modules()]
    return [attributes, [(name, id(tensor)) for name, tensor in tensors]]


@pytest.mark.parametrize("name", NETWORKS)
def test_counting_leaves_no_trace(name: str) -> None:
    network = NETWORKS[name]()
    network[0].eval()  # a frozen part in a network that trains
    before = state(network)

    ExactCounter().count(network, SHAPE)

    assert state(network) == before


def test_a_hook_runs_and_is_counted() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    network[0].register_forward_hook(lambda module, inputs, output: output[..., ::2])
    network.append(nn.Conv2d(4, 4, 1))

    counter = ExactCounter()

    assert [counter.count(network, SHAPE) for _ in range(2)] == [plainly(network, SHAPE)] * 2


def test_a_network_that_does_not_fit_is_a_build_error_and_stays_whole() -> None:
    network = nn.Sequential(nn.Conv2d(5, 4, 3))
    before = state(network)

    with pytest.raises(BuildError, match=r"one image of shape \(3, 16, 16\)"):
        ExactCounter().count(network, SHAPE)

    assert state(network) == before


def test_attention_settings_are_restored() -> None:
    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION):
        ExactCounter().count(attention(FusedAttention), SHAPE)

        assert torch.backends.mha.get_fastpath_enabled()
        assert not torch.backends.cuda.math_sdp_enabled()


def test_a_counter_crosses_processes_without_its_memory() -> None:
    counter = ExactCounter()
    counter.count(NETWORKS["functional"](), SHAPE)

    text = pickle.dumps(counter)

    assert len(text) < 200
    assert pickle.loads(text).count(Twice(), SHAPE) == counter.count(Twice(), SHAPE)
