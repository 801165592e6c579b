"""What the suite cannot see of ViT and DeiT: two classifiers, and weights that are shared."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.transformer import AttentionShape, MultiHeadAttention
from orchestrator_spaces.blocks.vision_transformer import ConvStem
from orchestrator_spaces.deit import DeiTSpace
from orchestrator_spaces.vit import ViTSpace

from orchestrator.trials import FixedTrial, RandomTrial


def build(space, trial, image_size=32):
    architecture = space.suggest(trial)
    return fresh(space, architecture, classes=5, in_channels=1, image_size=image_size)


def published(name: str):
    space = DeiTSpace()
    return build(space, FixedTrial(space.published()[name].choices)).eval()


def test_the_answer_is_the_mean_of_both_heads():
    network, images = published("ti-distilled-small"), torch.randn(2, 1, 32, 32)
    heads = network.heads(images)
    assert heads.shape == (2, 2, 5)
    assert not torch.allclose(heads[:, 0], heads[:, 1])
    torch.testing.assert_close(network(images), heads.mean(1))


def test_a_plain_network_has_no_heads():
    assert not hasattr(published("s-small"), "heads")


def test_vit_and_deit_of_a_size_are_one_graph():
    vit, deit = ViTSpace(preset="full"), DeiTSpace(preset="full")
    points = ((vit, "s16"), (deit, "s"))
    first, second = (
        space.suggest(FixedTrial(space.published()[name].choices)) for space, name in points
    )
    assert first == second


@pytest.mark.parametrize("space", [ViTSpace(), DeiTSpace()], ids=lambda space: space.name)
def test_one_name_has_one_rank_and_positions_one_number(space):
    known: dict[str, tuple[int, ...]] = {}
    for seed in range(12):
        with torch.device("meta"):
            network = build(space, RandomTrial(seed))
        for name, parameter in network.named_parameters():
            # Places and kernels belong to a name, whatever the widths are.
            fixed = parameter.shape[2:] if parameter.dim() == 4 else parameter.shape[:-1]
            role = (parameter.dim(), *fixed) if parameter.dim() > 2 else (parameter.dim(),)
            assert known.setdefault(name, role) == role, name


def test_a_narrow_stem_is_the_first_half_of_a_wide_ones_layers():
    wide, narrow = ConvStem(1, 16, 4).eval(), ConvStem(1, 8, 4).eval()
    shared = wide.state_dict()
    for name, tensor in narrow.state_dict().items():
        tensor.copy_(shared[name][tuple(slice(length) for length in tensor.shape)])
    images = torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(narrow[0](images), wide[0](images)[:, :4])


def test_a_head_less_is_the_first_heads():
    three, two = (MultiHeadAttention(AttentionShape(24, heads, 16, 16)) for heads in (3, 2))
    rows = two.qkv.weight.shape[0]
    two.qkv.load_state_dict(
        {name: tensor[:rows] for name, tensor in three.qkv.state_dict().items()}
    )
    tokens = torch.randn(1, 4, 24)
    torch.testing.assert_close(three.attend(tokens)[..., :32], two.attend(tokens))
