from __future__ import annotations

import pytest
import torch
from orchestrator_objectives.peak_activation import PeakActivation
from torch import Tensor, nn
from torch.nn import functional as F

from orchestrator import Genotype, Subject
from orchestrator.errors import BuildError

SHAPE = (4, 8, 8)
MAP = 4 * 64


def subject(network: nn.Module) -> Subject:
    return Subject(Genotype("toy", "small", {}), network, SHAPE)


def peak(network: nn.Module) -> float:
    """In elements."""
    return PeakActivation().measure(subject(network)) / 4


def conv(width_in: int, width: int, kernel: int = 1, **options: int) -> nn.Module:
    return nn.Conv2d(width_in, width, kernel, padding=kernel // 2, **options)


class Does(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Residual(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def test_a_chain_needs_the_largest_pair_of_input_and_output() -> None:
    # 4 → 8 → 16 → 2 channels of 64 elements, then 2 of 4.
    network = nn.Sequential(conv(4, 8), conv(8, 16), conv(16, 2), nn.AvgPool2d(4))

    assert peak(network) == 64 * (8 + 16)


def test_a_stride_counts_the_smaller_output() -> None:
    assert peak(nn.Sequential(conv(4, 8, 3, stride=2))) == 4 * 64 + 8 * 16


def test_a_residual_keeps_its_input_while_the_branch_runs() -> None:
    network = nn.Sequential(conv(4, 6), Residual(conv(6, 12), conv(12, 12, 3), conv(12, 6)))

    # The input waits while the 3×3 convolution reads 12 channels and makes 12.
    assert peak(network) == 64 * (6 + 12 + 12)


def test_without_the_residual_the_input_is_gone_by_then() -> None:
    network = nn.Sequential(conv(4, 6), conv(6, 12), conv(12, 12, 3), conv(12, 6))

    assert peak(network) == 64 * (12 + 12)


def test_two_branches_end_in_a_concatenation_that_needs_all() -> None:
    class Fire(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.squeeze, self.one, self.three = conv(4, 2), conv(2, 6), conv(2, 6, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.squeeze(x)
            return torch.cat((self.one(x), self.three(x)), 1)

    assert peak(Fire()) == 64 * (6 + 6 + 12)


@pytest.mark.parametrize("inplace", [True, False])
def test_elementwise_layers_and_folded_norms_write_over_their_input(inplace: bool) -> None:
    layers = [nn.BatchNorm2d(8), nn.Hardswish(inplace), nn.ReLU6(inplace), nn.BatchNorm2d(8)]

    assert peak(nn.Sequential(conv(4, 8), *layers)) == 64 * (4 + 8)


def test_an_elementwise_layer_keeps_what_is_read_later() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return x * x.sigmoid()

    assert peak(Gated()) == 2 * MAP


def test_the_image_is_not_written_over() -> None:
    assert peak(nn.ReLU()) == 2 * MAP


def test_views_are_one_tensor_and_copies_are_another() -> None:
    halves = nn.Sequential(conv(4, 8), Does(lambda x: torch.stack(x.chunk(2, 1)).flatten(0, 1)))
    view = nn.Sequential(conv(4, 8), Does(lambda x: x.flatten(2).transpose(1, 2)), nn.Linear(8, 2))

    assert peak(halves) == 64 * (8 + 8)
    assert peak(view) == 64 * (4 + 8)


def test_attention_holds_scores_and_values() -> None:
    # 64 tokens of 4: queries, keys and values are one projection that lives to the last product.
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(4, 12)

        def forward(self, x: Tensor) -> Tensor:
            query, key, value = self.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
            return (query @ key.transpose(1, 2)).softmax(-1) @ value

    assert peak(Attention()) == 64 * 12 + 2 * 64 * 64


def test_what_does_not_depend_on_the_image_is_a_constant() -> None:
    class Biased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(4, 9))
            self.register_buffer("places", torch.zeros(100, 64, dtype=torch.long))

        def forward(self, x: Tensor) -> Tensor:
            bias = self.table.repeat(1, 9)[:, self.places]  # (4, 100, 64)
            return F.avg_pool2d(x, 2).flatten(2) + bias.mean((1, 2)).unsqueeze(1)

    assert peak(Biased()) == MAP + MAP // 4


def test_several_outputs_are_alive_at_the_end() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = conv(4, 8), conv(4, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.first(x), self.second(x)

    assert peak(Two()) == 64 * (4 + 8 + 2)


def test_the_operator_of_the_peak_is_told() -> None:
    told = PeakActivation().explain(subject(nn.Sequential(conv(4, 8), conv(8, 16))))

    assert told == {"operator": "convolution", "output": "1×16×8×8", "tensors": 2.0}


def test_weights_and_their_precision_count_nothing() -> None:
    assert peak(conv(4, 8, 7)) == peak(conv(4, 8).double())


def test_values_may_decide_shapes() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.keep = nn.Buffer(torch.tensor([True, False, True, False]))

        def forward(self, x: Tensor) -> Tensor:
            return x[:, self.keep]

    assert peak(Masked()) == MAP + MAP // 2


def test_a_network_that_does_not_fit_is_a_build_error() -> None:
    with pytest.raises(BuildError, match="image size and channels"):
        peak(conv(5, 4))
