"""What lets weights be shared: names are roles, and narrow channels are the wide ones' first."""

from __future__ import annotations

import torch
from orchestrator_spaces.efficientformer import Attention, EfficientFormerSpace
from orchestrator_spaces.mobilenetv3 import MobileNetV3Space
from orchestrator_spaces.shufflenetv2 import Merge, ShuffleNetV2Space, Split

from orchestrator.trials import RandomTrial


def names_and_ranks(space, seed: int) -> dict[str, int]:
    with torch.device("meta"):
        network = space.build(
            space.suggest(RandomTrial(seed)), classes=10, in_channels=3, image_size=32
        )
    return {name: parameter.dim() for name, parameter in network.named_parameters()}


def test_a_shuffled_narrow_network_sees_the_first_channels_of_the_wide_one():
    wide = torch.randn(1, 24, 2, 2), torch.randn(1, 24, 2, 2)
    narrow = wide[0][:, :16], wide[1][:, :16]
    assert torch.equal(Merge()(*narrow), Merge()(*wide)[:, :32])
    for few, many in zip(Split()(narrow[0]), Split()(wide[0]), strict=True):
        assert torch.equal(few, many[:, :8])


def test_halves_hold_as_many_passed_as_changed_channels():
    merged = Merge()(torch.zeros(1, 16, 1, 1), torch.ones(1, 16, 1, 1))
    assert [float(half.mean()) for half in Split()(merged)] == [0.5, 0.5]


def test_one_name_has_one_rank_in_every_architecture():
    for space in (EfficientFormerSpace(), MobileNetV3Space(), ShuffleNetV2Space()):
        known: dict[str, int] = {}
        for seed in range(6):
            for name, rank in names_and_ranks(space, seed).items():
                assert known.setdefault(name, rank) == rank, f"{space.name}: {name}"


def test_fewer_heads_are_the_first_heads():
    table = EfficientFormerSpace().table
    four, two = Attention(16, 2, 4, table), Attention(16, 2, 2, table)
    rows = two.qkv.weight.shape[0]
    assert two.qkv.load_state_dict({k: v[:rows] for k, v in four.qkv.state_dict().items()})
    tokens = torch.randn(1, 4, 16)
    heads = four.qkv(tokens).unflatten(-1, (4, -1))[:, :, :2]
    assert torch.allclose(heads, two.qkv(tokens).unflatten(-1, (2, -1)))
