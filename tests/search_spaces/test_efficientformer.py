"""Slots of EfficientFormer, attention of EfficientFormerV2, and the second head of both."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.transformer import AttentionShape
from orchestrator_spaces.efficientformer import EfficientFormerSpace
from orchestrator_spaces.efficientformerv2 import EfficientFormerV2Space, MapAttention

from orchestrator.trials import FixedTrial, RandomTrial

SPACES = (EfficientFormerSpace, EfficientFormerV2Space)


def built(space, choices):
    architecture = space.suggest(FixedTrial(choices))
    return fresh(space, architecture, classes=10, in_channels=3, image_size=32).eval()


def smallest(space) -> dict[str, object]:
    *_, point = space.published().values()
    return dict(point.choices)


def test_empty_slots_vanish():
    space = EfficientFormerSpace()
    first = smallest(space)
    assert [first[f"stages.1.blocks.{slot}.used"] for slot in range(2)] == [True, False]
    second = first | {"stages.1.blocks.0.used": False, "stages.1.blocks.1.used": True}
    assert space.suggest(FixedTrial(second)) == space.suggest(FixedTrial(first))


@pytest.mark.parametrize("preset", ["small", "full"])
def test_once_on_tokens_always_on_tokens(preset):
    space = EfficientFormerSpace(preset=preset)
    for seed in range(20):
        stages = space.suggest(RandomTrial(seed))["stages"]
        kinds = [kind for stage in stages for kind in stage["blocks"]]
        assert kinds == sorted(kinds, reverse=True)  # "4d", then "3d"
        assert not {"3d"} & {*stages[0]["blocks"], *stages[1]["blocks"]}


@pytest.mark.parametrize("space", [make() for make in SPACES], ids=lambda space: space.name)
def test_the_answer_is_the_mean_of_two_heads(space):
    plain = smallest(space)
    assert not hasattr(built(space, plain), "heads")
    network = built(space, plain | {"distillation_head": True})
    images = torch.randn(2, 3, 32, 32)
    heads = network.heads(images)
    assert heads.shape == (2, 2, 10)
    assert torch.allclose(heads.mean(1), network(images), atol=1e-6)
    assert torch.allclose(heads[:, 0], network.classifier(network.features(images)), atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_head_that_hears_no_other_is_the_same_beside_others(stride):
    four, two = (MapAttention(AttentionShape(8, heads, 4, 8), 4, stride=stride) for heads in (4, 2))
    for talk in (four.talk_before, four.talk_after):
        torch.nn.init.dirac_(talk.weight)
    four.project.conv.weight.data[:, 2 * 8 :] = 0
    shared = four.state_dict()
    for name, tensor in two.state_dict().items():
        tensor.copy_(shared[name][tuple(slice(size) for size in tensor.shape)])
    maps = torch.randn(2, 8, 4, 4)
    assert torch.allclose(two.eval()(maps), four.eval()(maps), atol=1e-6)
