"""A narrower ShuffleNet does what the wide one does with all other channels silenced."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from networks import fresh
from orchestrator_spaces.shufflenetv1 import ShuffleNetV1Space
from orchestrator_spaces.shufflenetv2 import ShuffleNetV2Space
from torch import nn

from orchestrator.trials import FixedTrial


@dataclass
class Forced:
    """Answers of `known` by the end of a question's name, else the highest, or lowest if `low`."""

    known: dict[str, object]
    low: bool = False

    def suggest_categorical(self, name, choices):
        for end, value in self.known.items():
            if name.endswith(end) and value in choices:
                return value
        return min(choices) if self.low else max(choices)

    def suggest_int(self, name, low, high, *, step=1):
        return self.suggest_categorical(name, range(low, high + 1, step))


def network(space, architecture, image_size=32):
    torch.manual_seed(0)
    made = fresh(space, architecture, classes=10, in_channels=3, image_size=image_size)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made.double().eval()


def part(space, name, whole, wanted):
    """Indices of the part of a shared tensor, ready for indexing with broadcasting."""
    parts = space.share(name, tuple(whole.shape), tuple(wanted.shape))
    if parts is None:
        starts = [
            (long - short) // 2 if axis > 1 else 0
            for axis, (long, short) in enumerate(zip(whole.shape, wanted.shape, strict=True))
        ]
        parts = [slice(s, s + n) for s, n in zip(starts, wanted.shape, strict=True)]
    lists = [
        list(range(n))[p] if isinstance(p, slice) else list(p)
        for p, n in zip(parts, whole.shape, strict=True)
    ]
    assert [len(set(places)) for places in lists] == list(wanted.shape), name
    return torch.meshgrid(*map(torch.tensor, lists), indexing="ij")


def logits_of_both(space, wide, narrow):
    """Logits of the narrow network, which takes its part of the wide one's weights, and of the
    wide one in which all but that part is zero.
    """
    wide, narrow = network(space, wide), network(space, narrow)
    kept, silenced = narrow.state_dict(), wide.state_dict()
    assert set(kept) <= set(silenced)
    for name, whole in silenced.items():
        if "running" in name or not whole.dim():
            if name in kept and whole.dim():
                kept[name].copy_(whole[part(space, name, whole, kept[name])])
            continue
        quiet = torch.zeros_like(whole)
        if name in kept:
            places = part(space, name, whole, kept[name])
            kept[name].copy_(whole[places])
            quiet[places] = whole[places]
        whole.copy_(quiet)
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    return narrow(images), wide(images)


def widest_and_narrowest(space, known):
    return space.suggest(Forced(known)), space.suggest(Forced(known, low=True))


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("attention", ["none", "se", "channel"])
@pytest.mark.parametrize("growth", [1.5, 2.0])
def test_narrow_groups_are_the_first_channels_of_the_wide_ones(groups, attention, growth):
    space = ShuffleNetV1Space()
    known = {"attention": attention, "growth": growth, "resolution": 1.0}
    known |= {"groups": groups, f"stem.width.groups{groups}": 24}
    wide, narrow = widest_and_narrowest(space, known)
    for long, short in zip(wide["stages"], narrow["stages"], strict=True):
        assert all(short[key] < long[key] for key in ("width", "bottleneck", "depth", "kernel"))
    few, many = logits_of_both(space, wide, narrow)
    assert torch.allclose(few, many)


@pytest.mark.parametrize("kind", ["kernel3", "xception"])
def test_narrow_halves_are_the_first_channels_of_the_wide_ones(kind):
    space = ShuffleNetV2Space()
    known = {"kind": kind, "depth": 3, "resolution": 1.0}
    few, many = logits_of_both(space, *widest_and_narrowest(space, known))
    assert torch.allclose(few, many)


@pytest.mark.parametrize(("name", "preset"), [("0.5x-g3", "full"), ("1.0x-g3-small", "small")])
def test_no_grouped_weight_is_shared_between_numbers_of_groups(name, preset):
    space = ShuffleNetV1Space(preset=preset)
    trial = FixedTrial(space.published()[name].choices)
    names = {
        layer
        for layer, module in network(space, space.suggest(trial), image_size=64).named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == 3
    }
    assert names
    assert all(".groups3_" in layer for layer in names)
