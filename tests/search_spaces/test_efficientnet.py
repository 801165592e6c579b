"""Compound scaling, what sets Lite apart, and weights that two architectures can share."""

from __future__ import annotations

import pytest
import torch
from networks import fresh
from orchestrator_spaces.blocks.channel_attention import SqueezeExcitation
from orchestrator_spaces.efficientnet import EfficientNetLiteSpace, EfficientNetSpace
from torch import nn

from orchestrator.candidate.networks import build_published
from orchestrator.contracts.space import SearchSpace
from orchestrator.trials import FixedTrial, RandomTrial


def built(space: SearchSpace, seed: int) -> nn.Module:
    architecture = space.suggest(RandomTrial(seed))
    with torch.device("meta"):
        return fresh(space, architecture, classes=10, in_channels=3, image_size=64)


@pytest.mark.parametrize(
    ("space", "member", "ends", "widths", "depths"),
    [
        (
            EfficientNetSpace,
            "b7",
            (64, 2560),
            [32, 48, 80, 160, 224, 384, 640],
            [4, 7, 7, 10, 10, 13, 4],
        ),
        (
            EfficientNetLiteSpace,
            "lite4",
            (32, 1280),
            [24, 32, 56, 112, 160, 272, 448],
            [1, 4, 4, 6, 6, 8, 1],
        ),
    ],
)
def test_a_scaled_member_has_the_published_widths_and_depths(space, member, ends, widths, depths):
    made = space(preset="full")
    architecture = made.suggest(FixedTrial(made.published()[member].choices))
    assert (architecture["stem"]["width"], architecture["head"]["width"]) == ends
    assert [stage["width"] for stage in architecture["stages"]] == widths
    assert [stage["depth"] for stage in architecture["stages"]] == depths


def test_a_gate_squeezes_to_a_quarter_of_the_blocks_input():
    with torch.device("meta"):
        network, _ = build_published("efficientnet/b0")
    gates = [layer for layer in network.modules() if isinstance(layer, SqueezeExcitation)]
    squeezed = [gate.squeeze.out_channels for gate in gates]
    assert squeezed == [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]
    assert {type(gate.activation) for gate in gates} == {nn.SiLU}
    assert {type(gate.gate) for gate in gates} == {nn.Sigmoid}


def test_lite_has_nothing_that_quantises_badly():
    plain = {nn.Conv2d, nn.BatchNorm2d, nn.ReLU6, nn.AdaptiveAvgPool2d, nn.Dropout, nn.Linear}
    for seed in range(4):
        leaves = [m for m in built(EfficientNetLiteSpace(), seed).modules() if not [*m.children()]]
        kinds = {type(leaf) for leaf in leaves} - {nn.Identity}
        assert {kind for kind in kinds if kind.__name__ != "Resize"} == plain


@pytest.mark.parametrize("space", [EfficientNetSpace, EfficientNetLiteSpace])
def test_one_name_has_one_rank_and_its_own_operator(space):
    known: dict[str, tuple[int, bool]] = {}
    for seed in range(12):
        network = built(space(), seed)
        for name, parameter in network.named_parameters():
            layer = network.get_submodule(name.rpartition(".")[0])
            depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
            role = (parameter.dim(), depthwise)
            assert known.setdefault(name, role) == role, name


def test_files_that_torchvision_took_over_are_owed_to_those_who_trained_them() -> None:
    listed = EfficientNetSpace(preset="full").pretrained()
    b0, b5, b1 = (
        listed[name] for name in ("b0-imagenet1k_v1", "b5-imagenet1k_v1", "b1-imagenet1k_v2")
    )
    assert "Wightman" in b0.credit and "Melas-Kyriazi" in b5.credit
    assert {b0.licence, b5.licence} == {"Apache-2.0"}
    assert (b1.credit, b1.licence) == ("torchvision, references/classification", "BSD-3-Clause")
